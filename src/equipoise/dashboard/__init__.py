"""The live page of runs: it reads their folders and writes requests.jsonl, nothing else. No torch."""
