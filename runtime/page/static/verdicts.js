// The list of last verdicts, and one of them in large, where a person says what the part is.
import { get, post } from "/static/api.js";
import { describe, ms, score, signed, time, today } from "/static/words.js";

const find = (id) => document.getElementById(id);
const PAGE = 30;
let known = -1; // flagged verdicts when the list was last read
let asked_ms = 0;
let rows = [];
let open = null;
let opened = []; // the list as it was when one was opened: it changes meanwhile
let asked = 0;

const uncertain = (record) => record.verdict !== "normal";
const named = (label) => (label === "normal" ? "good part" : "defect");

export function begin() {
  find("of-camera").onchange = find("of-kind").onchange = () => read();
  find("older").onclick = () => read(rows.at(-1).number);
  find("newest").onclick = () => { find("list").scrollTop = 0; read(); };
  find("newer-one").onclick = () => step(-1);
  find("older-one").onclick = () => step(1);
  find("defect").onclick = () => label("anomalous");
  find("good-part").onclick = () => label("normal");
  find("unlabel").onclick = () => label(null);
  find("detail").onclose = () => { open = null; };
}

export function update(state) {
  const choice = find("of-camera");
  for (const { name } of state.cameras) {
    if (![...choice.options].some((option) => option.value === name)) choice.add(new Option(name, name));
  }
  const total = find("of-kind").value === "1" ? state.flagged : state.kept;
  const looksBack = find("list").scrollTop > 40; // somebody reads: do not move it away
  find("newest").hidden = !(looksBack && total !== known);
  if (total === known || looksBack || Date.now() - asked_ms < 1500) return;
  known = total;
  read();
}

export function openNewest() {
  if (rows.length) show(rows[0], rows);
}

// Keys while a verdict is open; returns whether it was one.
export function key(name) {
  if (!open) return false;
  const ready = !find("defect").disabled;
  const actions = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), c: () => ready && label("anomalous"),
    r: () => ready && label("normal"), u: () => label(null),
  };
  actions[name]?.();
  return name in actions;
}

async function read(before) {
  asked_ms = Date.now();
  const query = new URLSearchParams({ limit: PAGE, flagged: find("of-kind").value });
  if (before) query.set("before", before);
  if (find("of-camera").value) query.set("camera", find("of-camera").value);
  const mine = ++asked;
  let verdicts;
  try {
    verdicts = (await (await get(`/api/verdicts?${query}`)).json()).verdicts;
  } catch (error) {
    find("none").textContent = `The list cannot be read: ${error.message}.`;
    find("none").hidden = false;
    return;
  }
  if (mine !== asked) return; // another one was asked for meanwhile
  find("none").textContent = "Nothing was flagged so far.";
  rows = before ? rows.concat(verdicts) : verdicts;
  find("older").hidden = verdicts.length < PAGE;
  find("none").hidden = rows.length > 0;
  render();
}

function render() {
  const focused = document.activeElement?.closest?.("#list li")?.dataset.id;
  const there = new Map([...find("list").children].map((item) => [item.dataset.id, item]));
  find("list").replaceChildren(...rows.map((record) => item(record, there.get(record.id))));
  if (focused) find("list").querySelector(`[data-id="${focused}"] button`)?.focus();
}

function item(record, existing) {
  const part = existing ?? document.getElementById("verdict").content.cloneNode(true).firstElementChild;
  const find = (what) => part.querySelector(what);
  part.dataset.id = record.id;
  find(".kind").textContent = signed(record.verdict);
  find(".kind").className = `kind ${record.verdict}`;
  find(".score").textContent = `${score(record.score)} / ${score(record.threshold)}`;
  find(".place").textContent = `${record.camera}, ${today(record.timestamp_ns / 1e6)}`;
  find(".label").textContent = record.label ? `labelled ${named(record.label)}` : "";
  find("button").onclick = () => show(record, rows);
  if (!existing) picture(find("img"), record);
  return part;
}

function picture(image, record) {
  image.onerror = () => image.removeAttribute("src");
  if (uncertain(record)) image.src = `/api/verdicts/${record.id}/picture.jpg`;
}

function show(record, list = opened) {
  open = record;
  opened = list;
  find("detail-title").textContent = signed(record.verdict);
  find("detail-title").className = record.verdict;
  find("detail-why").hidden = record.outcome !== "budget";
  const image = find("detail-picture");
  find("detail-none").hidden = uncertain(record);
  image.hidden = !uncertain(record);
  image.alt = `${record.camera}: the part and its heat map`;
  // What is labelled is what is seen: not before its picture is there.
  image.removeAttribute("src");
  const ready = (there) => { find("defect").disabled = find("good-part").disabled = !there; };
  ready(!uncertain(record));
  image.onload = () => ready(true);
  image.onerror = () => { image.hidden = true; find("detail-none").hidden = false; ready(true); };
  if (uncertain(record)) image.src = `/api/verdicts/${record.id}/picture.jpg`;
  describe(find("detail-facts"), [
    ["camera", record.camera], ["time", time(record.timestamp_ns / 1e6)],
    ["score / threshold", `${score(record.score)} / ${score(record.threshold)}`],
    ["steps of the search", String(record.steps)], ["ms to the verdict", ms(record.latency_ms.total)],
    ["part", record.signal ?? "–"], ["id", record.id],
  ]);
  told(record);
  const at = opened.indexOf(record);
  find("newer-one").disabled = at <= 0;
  find("older-one").disabled = at === opened.length - 1;
  if (!find("detail").open) find("detail").showModal();
}

function told(record) {
  find("detail-label").textContent = record.label ? `Labelled by a person: ${named(record.label)}.` : "What is this part? Not labelled yet.";
  find("unlabel").disabled = !record.label;
}

function step(by) {
  const next = opened[opened.indexOf(open) + by];
  if (next) show(next);
}

async function label(value) {
  const record = open;
  try {
    await post(`/api/verdicts/${record.id}/label`, { label: value });
  } catch (error) {
    find("detail-label").textContent = `The label was not kept: ${error.message}.`;
    return;
  }
  for (const row of rows) if (row.id === record.id) row.label = value;
  record.label = value;
  if (open?.id === record.id) told(record);
  render();
}
