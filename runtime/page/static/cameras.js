// A card for each camera: its newest frame, its scores, its figures.
import { draw } from "/static/chart.js";
import { STATES, count, describe, ms, percent, rate, score, share, signed, spans } from "/static/words.js";

const KEPT_S = 900;
const cards = new Map();
let view = "heat";
let wait_ms = 250;

export function showHeat(on) {
  view = on ? "heat" : "plain";
}

export function update(state) {
  wait_ms = 1000 / state.pictures_per_s;
  for (const camera of state.cameras) {
    const card = cards.get(camera.name) ?? begin(camera.name);
    card.take(camera, state);
  }
}

// Nothing is known any more: what is shown is old.
export function lost() {
  for (const card of cards.values()) card.lose();
}

export function redraw() {
  for (const card of cards.values()) card.chart();
}

function begin(name) {
  const part = document.getElementById("camera").content.cloneNode(true).firstElementChild;
  part.querySelector("h2").textContent = name;
  part.dataset.camera = name;
  document.getElementById("cameras").append(part);
  const card = new Card(name, part);
  cards.set(name, card);
  card.look();
  return card;
}

class Card {
  constructor(name, part) {
    this.name = name;
    this.part = part;
    this.points = [];
    this.now_s = 0;
    this.shown = "";
    this.find = (what) => part.querySelector(what);
  }

  take(camera, state) {
    const resting = state.paused && camera.state === "live";
    const [word, kind] = resting ? ["❚❚ paused", "bad"] : STATES[camera.state];
    const chip = this.find(".state");
    chip.textContent = word;
    chip.className = `chip state ${kind}`;
    const away = state.paused || !["live", "ended", "stopped"].includes(camera.state);
    this.find("figure").classList.toggle("away", away);
    this.find(".empty").textContent = notice(camera, state);
    const error = this.find(".error");
    error.textContent = camera.error || camera.reason;
    error.hidden = !error.textContent;
    const judged = Object.values(camera.verdicts).reduce((sum, one) => sum + one, 0);
    describe(this.find(".figures"), [
      ["frames/s in, judged", `${rate(camera.frames_per_s)}, ${state.paused ? "paused" : rate(camera.verdicts_per_s)}`],
      ["ms, median / p99", `${ms(camera.latency_p50_ms)} / ${ms(camera.latency_p99_ms)}`],
      ["flagged", `${count(camera.flagged)} (${share(camera.flagged, judged)})`],
      ["judged", count(judged)],
      ["dropped", camera.dropped ? `${count(camera.dropped)} (${percent(camera.dropped_share)})` : "0", loses(camera) ? "bad" : ""],
      ["unusable", count(camera.unusable), camera.unusable ? "bad" : ""],
      ...(camera.trigger ? [["signals, missed", `${count(camera.trigger.signals)}, ${count(camera.trigger.missed)}`,
        camera.trigger.missed ? "bad" : ""]] : []),
      ...(camera.clipped_share > 0.01 ? [["beyond range", percent(camera.clipped_share), "bad"]] : []),
      ...(camera.drift ? [["drift", camera.drift.text, camera.drift.alarmed ? "bad" : ""]] : []),
    ]);
    this.add(state.points[this.name] ?? [], state.now_ns / 1e9);
  }

  lose() {
    const chip = this.find(".state");
    chip.textContent = "? unknown";
    chip.className = "chip state odd";
    this.find("figure").classList.add("away");
    this.find(".empty").textContent = "no connection to the station";
  }

  // The last point may have grown since it came: it is replaced.
  add(points, now_s) {
    if (points.length) this.points = this.points.filter((one) => one.number < points[0].number).concat(points);
    this.points = this.points.filter((one) => one.second > now_s - KEPT_S && one.second < now_s + 5);
    this.now_s = now_s;
    this.chart();
  }

  chart() {
    draw(this.find("canvas"), this.points, this.now_s);
  }

  // One picture after the other, none while nobody looks.
  async look() {
    if (!document.hidden) await this.picture().catch(() => {});
    setTimeout(() => this.look(), wait_ms);
  }

  async picture() {
    const response = await fetch(`/api/cameras/${encodeURIComponent(this.name)}/live.jpg?view=${view}&seen=${this.shown}`);
    if (response.status !== 200) return;
    const about = JSON.parse(response.headers.get("X-Verdict"));
    const image = this.find("img");
    const before = image.src;
    image.src = URL.createObjectURL(await response.blob());
    image.alt = `${this.name}: ${about.verdict}`;
    if (before) URL.revokeObjectURL(before);
    this.shown = about.id + view;
    const figure = this.find("figure");
    figure.classList.remove("normal", "anomalous", "undecided");
    figure.classList.add(about.verdict);
    const caption = this.find(".verdict");
    caption.className = `verdict ${about.verdict}`;
    spans(caption, [signed(about.verdict), `${score(about.score)} / ${score(about.threshold)}`]);
  }
}

// Dropping is what `latest` is for, up to a half; with any other policy each frame counts.
function loses({ policy, dropped, dropped_share: share }) {
  return policy === "latest" ? share > 0.5 : dropped > 0;
}

function notice(camera, state) {
  if (state.paused) return "inspection is paused";
  if (!camera.newest) return "no picture yet";
  if (["live", "ended", "stopped"].includes(camera.state)) return "";
  return camera.age_s === null ? camera.state : `${camera.state}: last frame ${camera.age_s.toFixed(0)} s ago`;
}
