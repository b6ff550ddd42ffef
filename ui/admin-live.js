// The section "Live": what the server does now, every few seconds while the page is visible.

import { sendAdmin } from "./admin-api.js";
import { element, outcome, tell } from "./elements.js";
import { errorText, numberText, t } from "./language.js";

const SECONDS = 3; // between two readings
const KEPT = 60; // readings in a graph: three minutes
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [240, 56];

// Rates per second or minute, from the difference of two readings; and what is waiting now.
const FIGURES = {
  requests: (now, past, seconds) => (now.requests - past.requests) / seconds,
  duration: (now, past) => ratio(now.seconds - past.seconds, now.requests - past.requests) * 1000,
  failures: (now, past, seconds) => (now.failures - past.failures) / seconds,
  logins: (now, past, seconds) => ((now.logins - past.logins) / seconds) * 60,
  failed_logins: (now, past, seconds) => ((now.failed_logins - past.failed_logins) / seconds) * 60,
  registrations: (now, past, seconds) => ((now.registrations - past.registrations) / seconds) * 60,
  passwords: (now) => now.password,
  pictures: (now) => now.picture,
  mail: (now) => now.mail,
};

// The readings of all visits to this section, so that the graphs go on where they were.
let readings = [];

export function live() {
  const status = outcome();
  const stores = element("div", { class: "tags" });
  const figures = element("div", { class: "figures" });
  const place = element("div", { class: "stack" }, status, stores, figures);
  let timer = 0;

  async function read() {
    clearTimeout(timer);
    if (!place.isConnected) return; // another section is shown
    if (document.visibilityState === "visible") {
      const result = await sendAdmin("GET", "live");
      if (!place.isConnected) return;
      show(result);
    }
    timer = setTimeout(read, SECONDS * 1000);
  }

  function show(result) {
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      stores.replaceChildren();
      return;
    }
    tell(status, "");
    const last = readings.at(-1);
    // A server that was restarted, or another one, counts from 0 again.
    if (last && (result.requests < last.requests || result.time <= last.time)) readings = [];
    readings = [...readings, result].slice(-KEPT - 1);
    stores.replaceChildren(...Object.entries(result.stores).map(([name, isUp]) => store(name, isUp)));
    figures.replaceChildren(...Object.keys(FIGURES).map(figure));
  }

  const resume = () => {
    if (!place.isConnected) removeEventListener("visibilitychange", resume, true);
    else if (document.visibilityState === "visible") read();
  };
  addEventListener("visibilitychange", resume, true);
  setTimeout(read); // when the view is shown
  const hint = element("p", { class: "hint" }, t("admin.live.text", { seconds: SECONDS }));
  return [hint, place];
}

function ratio(part, whole) {
  return whole > 0 ? part / whole : 0;
}

function store(name, isUp) {
  const title = { postgresql: "PostgreSQL", redis: "Redis" }[name] ?? name;
  const text = t(isUp ? "admin.live.up" : "admin.live.down", { name: title });
  return element("span", { class: `tag ${isUp ? "good" : "bad"}` }, text);
}

function figure(name) {
  const values = readings
    .slice(1)
    .map((now, index) => FIGURES[name](now, readings[index], now.time - readings[index].time));
  const title = t(`admin.live.${name}`);
  const now = values.length ? shorten(values.at(-1)) : "–";
  const highest = values.length ? shorten(Math.max(...values)) : "–";
  return element(
    "section",
    { class: "card figure" },
    element("h2", {}, title),
    element("p", { class: "value" }, now, " ", element("small", {}, t(`admin.live.unit.${name}`))),
    graph(values, t("admin.live.graph", { title, now, highest })),
    element("p", { class: "hint" }, t("admin.live.highest", { highest })),
  );
}

function shorten(value) {
  return numberText(value >= 10 ? Math.round(value) : Math.round(value * 10) / 10);
}

// Return a line of the values, the last at the right edge.
function graph(values, label) {
  const highest = Math.max(1, ...values);
  const points = values.map((value, index) => {
    const x = WIDTH - ((values.length - 1 - index) * WIDTH) / (KEPT - 1);
    const y = HEIGHT - 2 - (value / highest) * (HEIGHT - 4);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    class: "graph",
    role: "img",
    "aria-label": label,
  });
  if (points.length > 1) {
    const [first] = points[0].split(",");
    const area = `${first},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`;
    drawing.append(svg("polygon", { points: area }), svg("polyline", { points: points.join(" ") }));
  }
  return drawing;
}

function svg(tag, properties) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, value);
  return made;
}
