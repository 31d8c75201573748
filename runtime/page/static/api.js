// Calls of the station's API. A session that has ended leads to the form that asks for the token.

const SILENCE_MS = 5000;

async function answered(response) {
  if (response.status === 401) location.assign("/login");
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Error(told.error ?? `the station answered ${response.status}`);
  }
  return response;
}

export async function get(path) {
  return answered(await fetch(path));
}

export async function post(path, content) {
  const headers = { "Content-Type": "application/json" };
  return (await answered(await fetch(path, { method: "POST", headers, body: JSON.stringify(content) }))).json();
}

// Calls `told` with the station's state once a second, `lost` after five seconds without.
export function listen(told, lost) {
  let events = null;
  let heard_ms = 0;
  const open = () => {
    events?.close();
    heard_ms = Date.now();
    events = new EventSource("/api/events");
    events.onmessage = (event) => { heard_ms = Date.now(); told(JSON.parse(event.data)); };
    events.onerror = () => {
      heard_ms = Math.min(heard_ms, Date.now() - SILENCE_MS + 1500); // unless it comes back at once
      if (events.readyState === EventSource.CLOSED) get("/api/state").catch(() => {});
    };
  };
  // A station that hangs, or a radio link that is gone, closes nothing: silence is what tells.
  setInterval(() => {
    if (document.hidden || Date.now() - heard_ms < SILENCE_MS) return;
    lost();
    open();
  }, 1000);
  // A tab that nobody sees keeps no connection: a browser has few for one address.
  document.addEventListener("visibilitychange", () => { if (document.hidden) events?.close(); else open(); });
  open();
}
