// Calls of the station's API. A session that has ended leads to the form that asks for the token.

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

// Calls `told` with the station's state once a second, `lost` while there is no connection.
export function listen(told, lost) {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => told(JSON.parse(event.data));
  events.onerror = () => {
    lost();
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    get("/api/state").catch(() => {});
    setTimeout(() => listen(told, lost), 3000);
  };
}
