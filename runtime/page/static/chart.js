// Scores of the last ten minutes with the threshold: a dot a second, a triangle where something was flagged.
import { score } from "/static/words.js";

const MINUTES = 10;
const LEFT = 54;
const BOTTOM = 18;

export function draw(canvas, points, nowS) {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  const shown = points.filter((point) => point.second > nowS - 60 * MINUTES);
  const threshold = shown.length ? shown.at(-1).threshold : null;
  const highest = Math.max(2 * (threshold ?? 0.5), ...shown.map((point) => point.score ?? 0)) * 1.05;
  const x = (second) => LEFT + (width - LEFT - 6) * (1 - (nowS - second) / (60 * MINUTES));
  const y = (value) => 6 + (height - BOTTOM - 6) * (1 - Math.min(value, highest) / highest);

  axes(pen, { width, height, colour, x, nowS });
  pen.fillStyle = colour("--quiet");
  pen.textAlign = "right";
  pen.fillText(score(highest), LEFT - 6, 12);
  pen.fillText("0", LEFT - 6, height - BOTTOM);
  if (threshold !== null) line(pen, shown, { width, colour, x, y, threshold });
  for (const point of shown) mark(pen, point, { colour, x: x(point.second), y: y(point.score ?? highest) });
  const flagged = shown.reduce((sum, point) => sum + point.flagged, 0);
  canvas.setAttribute("aria-label", threshold === null ? "no scores yet"
    : `highest scores a second over ${MINUTES} minutes, threshold ${score(threshold)}, ${flagged} flagged`);
}

function axes(pen, { width, height, colour, x, nowS }) {
  pen.font = "12px system-ui, sans-serif";
  pen.strokeStyle = colour("--line");
  pen.fillStyle = colour("--quiet");
  pen.lineWidth = 1;
  for (const minutes of [10, 5, 0]) {
    const at = Math.round(x(nowS - 60 * minutes)) + 0.5;
    pen.beginPath();
    pen.moveTo(at, 6);
    pen.lineTo(at, height - BOTTOM);
    pen.stroke();
    pen.textAlign = minutes === 0 ? "right" : minutes === MINUTES ? "left" : "center";
    pen.fillText(minutes ? `${minutes} min ago` : "now", minutes ? at : width - 6, height - 4);
  }
}

// The threshold as it was at each time: a step where it was changed.
function line(pen, shown, { width, colour, x, y, threshold }) {
  pen.strokeStyle = colour("--ink");
  pen.setLineDash([6, 4]);
  pen.beginPath();
  pen.moveTo(LEFT, y(shown[0].threshold));
  let before = shown[0].threshold;
  for (const point of shown) {
    if (point.threshold === before) continue;
    pen.lineTo(x(point.second), y(before));
    pen.lineTo(x(point.second), y(point.threshold));
    before = point.threshold;
  }
  pen.lineTo(width - 6, y(threshold));
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = colour("--ink");
  pen.textAlign = "right";
  pen.fillText(`T ${score(threshold)}`, LEFT - 4, y(threshold) + 4);
}

function mark(pen, point, { colour, x, y }) {
  const undecided = point.flagged > 0 && point.flagged === point.undecided;
  pen.fillStyle = colour(undecided ? "--undecided" : point.flagged ? "--anomalous" : "--normal");
  pen.beginPath();
  if (undecided) {
    pen.moveTo(x, y - 5);
    pen.lineTo(x + 5, y);
    pen.lineTo(x, y + 5);
    pen.lineTo(x - 5, y);
  } else if (point.flagged) {
    pen.moveTo(x, y - 5);
    pen.lineTo(x + 5, y + 4);
    pen.lineTo(x - 5, y + 4);
  } else {
    pen.arc(x, y, 2, 0, 7);
  }
  pen.fill();
}
