// What the server tells of a run as it happens; and once it tells no more, why, and another try.

const AGAIN_MS = 5000;  // a browser tries again by itself where the line is cut, and never where it was refused

export function listen(address, heard, lost, again = AGAIN_MS) {  // heard: kind -> what is done with its news
  const source = new EventSource(address);
  for (const [kind, take] of Object.entries(heard)) source.addEventListener(kind, (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) return lost("The server of this page does not answer. It tries again.");
    lost(`${await refusal(address)} It tries again.`);
    setTimeout(() => listen(address, heard, lost, again), again);
  });
}

async function refusal(address) {  // an EventSource is not told it
  const leaving = new AbortController();
  try {
    const answer = await fetch(address, { signal: leaving.signal });
    return answer.ok ? "The server of this page has broken off." : `The server says: ${await reason(answer)}`;
  } catch { return "The server of this page does not answer."; } finally { leaving.abort(); }
}

export async function reason(answer) {  // why the server refused something, in its words
  const text = await answer.text();
  try { return JSON.parse(text).detail || JSON.parse(text).error; } catch { return text; }
}
