// How values are written; a sign goes with each colour, so that nobody needs the colour.

const SIGNS = { normal: "●", anomalous: "▲", undecided: "◆" };
export const STATES = {
  opening: ["◌ opening", "odd"], live: ["● live", "good"], stalled: ["◆ stalled", "bad"], frozen: ["◆ frozen", "bad"],
  lost: ["✕ lost", "bad"], ended: ["■ ended", "odd"], stopped: ["■ stopped", "odd"],
};

export const signed = (verdict) => `${SIGNS[verdict]}\u00a0${verdict}`;
export const score = (value) => (value === null || value === undefined ? "not finished" : value.toPrecision(3));
export const ms = (value) => (value === null ? "–" : `${value < 100 ? value.toFixed(1) : value.toFixed(0)}`);
export const rate = (value) => (value === null ? "–" : value.toFixed(1));
export const count = (value) => value.toLocaleString("en");
export const parts = (value) => `${count(value)} part${value === 1 ? "" : "s"}`;
export const percent = (value) => (value > 0 && value < 0.0005 ? "<0.1%" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`);
export const share = (part, whole) => (whole ? percent(part / whole) : "–");

// One way to write a time, whatever the browser's language: 2026-11-28 13:15:56, this machine's time.
const two = (value) => String(value).padStart(2, "0");
const date = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
export const time = (ms) => `${date(new Date(ms))} ${clock(new Date(ms))}`;
export const today = (ms) => (date(new Date(ms)) === date(new Date()) ? clock(new Date(ms)) : time(ms));

// Fills an element with texts that stay on one line each.
export function spans(element, texts) {
  element.replaceChildren(...texts.map((text) => {
    const part = document.createElement("span");
    part.textContent = text;
    return part;
  }));
}

// Fills a description list with [term, value, class] rows.
export function describe(list, rows) {
  list.replaceChildren(...rows.map(([term, value, kind]) => {
    const row = document.createElement("div");
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = value;
    if (kind) row.className = kind;
    row.append(dt, dd);
    return row;
  }));
}
