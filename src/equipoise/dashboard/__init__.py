"""The live page of runs: it reads their folders, writes requests.jsonl and makes a fork's empty folder, nothing else.
No torch."""
