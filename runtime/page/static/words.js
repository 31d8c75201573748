// How values are written; a sign goes with each colour, so that nobody needs the colour.

export const SIGNS = { normal: "●", anomalous: "▲", undecided: "◆" };
export const STATES = {
  opening: ["◌ opening", "odd"], live: ["● live", "good"], stalled: ["◆ stalled", "bad"], frozen: ["◆ frozen", "bad"],
  lost: ["✕ lost", "bad"], ended: ["■ ended", "odd"], stopped: ["■ stopped", "odd"],
};

export const score = (value) => (value === null || value === undefined ? "not finished" : value.toPrecision(3));
export const ms = (value) => (value === null ? "–" : `${value < 100 ? value.toFixed(1) : value.toFixed(0)}`);
export const rate = (value) => (value === null ? "–" : value.toFixed(1));
export const count = (value) => value.toLocaleString();
export const parts = (value) => `${count(value)} part${value === 1 ? "" : "s"}`;
export const percent = (value) => (value > 0 && value < 0.0005 ? "<0.1%" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`);
export const share = (part, whole) => (whole ? percent(part / whole) : "–");
export const clock = (ns) => new Date(ns / 1e6).toLocaleTimeString([], { hour12: false });
export const day = (ns) => new Date(ns / 1e6).toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hour12: false });

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
