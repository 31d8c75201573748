// The page of a station: listens for its state, and hands it to those who show it.
import { listen, post } from "/static/api.js";
import * as cameras from "/static/cameras.js";
import * as care from "/static/care.js";
import * as verdicts from "/static/verdicts.js";
import { count, parts, score } from "/static/words.js";

const find = (id) => document.getElementById(id);
let paused = false;
let known = "";

function told(state) {
  paused = state.paused;
  const now = [state.version, ...state.cameras.map(({ name }) => name)].join();
  if (known && known !== now) return location.reload(); // the station was changed meanwhile
  known = now;
  document.title = `${state.station}: ganspect`;
  find("station").textContent = state.station;
  running(paused ? ["❚❚ paused", "bad"] : ["● inspecting", "good"]);
  find("facts").textContent =
    `${count(state.kept)} verdicts on disk, T ${score(state.threshold)}, ${state.mode}, ${state.backend}, bundle ${state.bundle}`;
  find("pause").firstChild.textContent = paused ? "Go on " : "Pause ";
  problems(state.problems);
  cameras.update(state);
  verdicts.update(state);
  const history = { name: "history", owed: state.held, delivered: state.kept, error: "", note: size(state.retention) };
  find("sinks").replaceChildren(...[history, ...state.sinks, ...state.outputs.map(output)].map(row));
  care.update(state);
}

function size({ used_mb: used, removed }) {
  return [used === null ? "" : `${count(Math.round(used))} MB`, removed ? `${count(removed)} old ones removed` : ""].filter(Boolean).join(", ");
}

// An output in the same table: parts that were rejected, and those whose time has not come. That it cannot be reached
// does not hide how many parts went by.
function output({ name, rejected, waiting, safe, error, late, dropped, failed }) {
  const lost = dropped + failed;
  const words = [error, safe && `safe state: ${safe}`, lost && `${parts(lost)} NOT rejected`].filter(Boolean).join("; ");
  return { name: `${name} (rejects)`, owed: waiting, delivered: rejected, error: words, note: late ? `${count(late)} late` : "" };
}

function running([words, kind]) {
  const chip = find("running");
  if (chip.textContent !== words) chip.textContent = words;
  chip.className = `chip ${kind}`;
}

// Changed only where it differs: a screen reader says it anew each time.
function problems(sentences) {
  const list = find("problems");
  if ([...list.children].map((item) => item.textContent).join("\n") === sentences.join("\n")) return;
  list.replaceChildren(...sentences.map((sentence) => {
    const item = document.createElement("li");
    item.textContent = sentence;
    return item;
  }));
}

function row({ name, owed, delivered, error, note }) {
  const part = document.createElement("tr");
  const words = error ? `✕ ${[error, note].filter(Boolean).join("; ")}` : `● well${note ? `, ${note}` : ""}`;
  for (const text of [name, count(delivered), count(owed), words]) part.insertCell().textContent = text;
  part.lastChild.className = error ? "bad" : "good";
  return part;
}

function lost() {
  cameras.lost();
  running(["✕ no connection", "bad"]);
  problems(["The station does not answer; this page tries again by itself. What is shown is old."]);
}

async function pause(on) {
  try {
    paused = (await post("/api/pause", { paused: on })).paused;
  } catch (error) {
    problems([`Pausing did not work: ${error.message}.`]);
  }
}

function askToPause() {
  if (paused) pause(false);
  else find("pausing").showModal();
}

function heat() {
  const on = find("heat").getAttribute("aria-pressed") !== "true";
  find("heat").setAttribute("aria-pressed", String(on));
  cameras.showHeat(on);
}

function theme() {
  const order = ["", "light", "dark"];
  const next = order[(order.indexOf(localStorage.theme ?? "") + 1) % order.length];
  localStorage.theme = next;
  applyTheme();
}

function applyTheme() {
  if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;
  else delete document.documentElement.dataset.theme;
  cameras.redraw();
}

find("pause").onclick = askToPause;
find("pausing").onclose = (event) => { if (event.target.returnValue === "yes") pause(true); event.target.returnValue = ""; };
find("heat").onclick = heat;
find("theme").onclick = theme;
find("help").onclick = () => find("keys").showModal();
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (verdicts.key(name)) return event.preventDefault();
  if (document.querySelector("dialog[open]")) return;
  const actions = { p: askToPause, h: heat, l: theme, f: verdicts.openNewest, "?": () => find("keys").showModal() };
  if (!(name in actions)) return;
  event.preventDefault();
  actions[name]();
});
addEventListener("resize", cameras.redraw);
applyTheme();
verdicts.begin();
care.begin();
listen(told, lost);
