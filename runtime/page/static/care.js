// Good periods, from which a threshold is taken, and the bundle that judges.
import { post } from "/static/api.js";
import { count, time } from "/static/words.js";

const find = (id) => document.getElementById(id);
const BUSY = { asked: "asked for", loading: "loaded and tried", ready: "ready", trial: "on trial" };
let on = false;

export function begin() {
  find("good").onclick = () => (on ? declare(false) : find("declaring").showModal());
  find("declaring").onclose = (event) => {
    if (event.target.returnValue === "yes") declare(true);
    event.target.returnValue = "";
  };
  find("reload").onclick = () => find("reloading").showModal();
  find("reloading").onclose = (event) => {
    if (event.target.returnValue === "yes") reload();
    event.target.returnValue = "";
  };
}

export function update({ good, swap }) {
  on = good.state === "on";
  find("good").textContent = on ? "End the good period" : "Begin a good period";
  find("good").disabled = good.state === "storing";
  find("good-state").textContent = told(good);
  const busy = BUSY[swap.state];
  find("reload").disabled = swap.state !== "idle";
  find("swap-state").textContent = busy ? `Another bundle is ${busy}.`
    : swap.error ? `Refused: ${swap.error}` : `Bundle ${swap.bundle}, calibrated ${time(Date.parse(swap.calibration))}.`;
  find("swap-state").className = swap.error && !busy ? "error" : "";
}

function told(good) {
  const frames = `${count(good.frames)} frames`;
  if (good.state === "on") return `Good period ${good.name}: ${frames} so far.`;
  if (good.state === "storing") return `Good period ${good.name}: storing the last of ${frames}.`;
  if (good.complete) return `${frames} in ${good.folder}. Next: ganspect calibrate BUNDLE ${good.folder}, then reload the bundle.`;
  return good.name ? `Good period ${good.name} cannot be used: ${good.reason}.` : "No good period was declared since the start.";
}

async function declare(begins) {
  try {
    await post("/api/good", { on: begins });
  } catch (error) {
    find("good-state").textContent = error.message;
  }
}

async function reload() {
  try {
    await post("/api/reload", {});
  } catch (error) {
    find("swap-state").textContent = error.message;
  }
}
