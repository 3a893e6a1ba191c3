// Makes pages live: what changed on the server replaces what is shown, unless somebody is at work
// in it; forms send without leaving the page; charts tell their values. Without it, pages can be
// read and forms sent all the same.
"use strict";

const EVERY = 15000;
const NAME = "grayflag.name";

// What the server said of each part, whatever scripts made of it since.
for (const part of document.querySelectorAll("[data-live]")) part.original = part.outerHTML;

const root = document.documentElement;
root.classList.add("js");
const byId = (id) => document.getElementById(id);

// The name is asked once, and goes with everything that is done from this browser. A browser that
// keeps nothing asks anew on each page.
const remembered = {
  get: () => { try { return localStorage.getItem(NAME) || ""; } catch { return ""; } },
  set: (name) => { try { localStorage.setItem(NAME, name); } catch { /* Kept on this page alone. */ } },
};
const who = byId("who");
byId("foot").hidden = false;
function call(name) {
  remembered.set(name);
  who.value = name;
  root.classList.toggle("named", name !== "");
  // One field for one name: forms ask for it where they have one, until it is known.
  who.parentElement.hidden = name === "" && document.querySelector(".by") !== null;
}
call(remembered.get());
who.addEventListener("change", () => call(who.value.trim()));

// The bar is one row that scrolls where it does not fit: it begins where one is.
const bar = document.querySelector(".bar nav");
const here = bar.querySelector("[aria-current]");
if (here) {
  const [row, name] = [bar, here].map((shape) => shape.getBoundingClientRect());
  bar.scrollLeft += name.left - row.left - (row.width - name.width) / 2;
}

// Whether somebody is at work in a part of the page: typing, choosing, marking text.
function busy(part) {
  const active = document.activeElement;
  if (part.contains(active) && active.matches("input, select, textarea")) return true;
  const changed = [...part.querySelectorAll("input, textarea")].some((field) =>
    field.type !== "hidden" &&
    (field.value !== field.defaultValue || field.checked !== field.defaultChecked));
  if (changed) return true;
  const marked = getSelection();
  return !marked.isCollapsed && part.contains(marked.anchorNode);
}

// Takes over what changed of another version of this page.
function adopt(other) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = other.getElementById(part.id);
    if (!fresh) continue;
    if (fresh.outerHTML === part.original || busy(part)) continue;
    const open = [...part.querySelectorAll("details")].map((details) => details.open);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = [...part.querySelectorAll(".wide")].map((wide) => wide.scrollLeft);
    const next = document.importNode(fresh, true);
    next.original = fresh.outerHTML;
    part.replaceWith(next);
    next.querySelectorAll("details").forEach((details, n) => { details.open = open[n] ?? false; });
    next.querySelectorAll(".wide").forEach((wide, n) => { wide.scrollLeft = scrolled[n] ?? 0; });
    if (focused) byId(focused)?.focus({ preventScroll: true });
    next.querySelectorAll(".chart").forEach(readable);
    if (next.matches(".chart")) readable(next);
  }
  const [now, then] = [other.getElementById("aloud"), byId("aloud")];
  if (now && now.dataset.aloud !== then.dataset.aloud) {
    then.dataset.aloud = now.dataset.aloud;
    then.textContent = now.dataset.aloud;
  }
  document.title = other.title;
}

// The page to log in that an answer is of; none where it is another.
const loginAt = (answer) =>
  answer.redirected && new URL(answer.url).pathname.startsWith("/-/") ? answer.url : null;

const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

const pause = byId("pause");
let failures = 0;
let timer = 0;

function later() {
  clearTimeout(timer);
  if (document.hidden || pause.getAttribute("aria-pressed") === "true") return;
  // A server that is away is asked less and less often.
  timer = setTimeout(refresh, EVERY * Math.min(8, 2 ** failures));
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (loginAt(answer)) {
      // What somebody reads or types stays; nothing new comes until they log in.
      byId("freshness").textContent = "You are logged out: load the page again.";
      return;
    }
    if (answer.ok) adopt(parsed(await answer.text()));
    failures = answer.ok ? 0 : failures + 1;
  } catch {
    failures += 1;
  }
  if (failures > 1) {
    byId("freshness").textContent = "Cannot reach grayflag; trying again.";
    byId("freshness").original = "";
  }
  later();
}

if (document.querySelector("[data-live]")) {
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    paused ? clearTimeout(timer) : refresh();
  });
  document.addEventListener("visibilitychange", () => {
    document.hidden ? clearTimeout(timer) : refresh();
  });
  later();
}

// Sends a form, and shows what became of it.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const said = form.querySelector(".said");
  const button = event.submitter;
  const by = form.elements.by;
  if (by && by.value.trim()) call(by.value.trim());
  if (by) by.value = who.value.trim();
  said.textContent = "";
  if (button) button.disabled = true;
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { accept: "text/html, application/problem+json" },
      body: new URLSearchParams(new FormData(form)),
    });
    if (loginAt(answer)) {
      location.assign(loginAt(answer));
    } else if (answer.ok) {
      const text = await answer.text();
      form.reset();
      form.closest(".actions details")?.removeAttribute("open");
      document.activeElement.blur();
      adopt(parsed(text));
      if (button?.id) byId(button.id)?.focus({ preventScroll: true });
      byId("aloud").textContent = "Done.";
    } else {
      const problem = await answer.json().catch(() => ({}));
      said.textContent = problem.detail ?? `Not done: the server answered ${answer.status}.`;
    }
  } catch {
    said.textContent = "Not done: grayflag cannot be reached.";
  }
  if (button) button.disabled = false;
});

// Tells the values under the pointer, or under a cursor that the arrow keys move; a part that is
// dragged over is shown alone.
function readable(chart) {
  const svg = chart.querySelector("svg");
  if (!svg) return;
  const read = (name) => Number(chart.dataset[name]);
  const [from, to, left, right, width] = ["from", "to", "left", "right", "width"].map(read);
  const [, , , height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const readout = byId("readout");
  const make = (name, kind) => {
    const shape = document.createElementNS("http://www.w3.org/2000/svg", kind);
    shape.setAttribute("class", name);
    shape.setAttribute("y", "0");
    shape.setAttribute("height", String(height));
    svg.append(shape);
    return shape;
  };
  let values = null;
  let asked = null;
  let place = -1;
  let begun = null;
  const cursor = make("cursor", "path");
  const picked = make("picked", "rect");
  const x = (at) => left + (right - left) * (at - from) / (to - from);
  const within = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.min(right, Math.max(left, (event.clientX - box.left) / box.width * width));
  };
  const nearest = (at) => Math.min(values.at.length - 1, Math.max(0, Math.floor(
    (from + (at - left) / (right - left) * (to - from) - values.from) / values.step)));
  const fetched = async () => {
    try {
      const answer = await fetch(chart.dataset.values, { headers: { accept: "application/json" } });
      if (answer.ok) values = await answer.json();
    } catch { asked = null; }
  };
  // Once, and whoever comes while that is under way waits for it too.
  const ask = () => asked ??= fetched();
  const tell = (n) => {
    place = n;
    const at = x(values.from + (n + 0.5) * values.step);
    cursor.setAttribute("d", `M${at} 0V${height}`);
    const lines = values.panels.map((panel) => `${panel.name} ${panel.values[n] ?? "no data"}`);
    readout.hidden = false;
    readout.textContent = `${values.at[n]}: ${lines.join(" · ")}`;
  };
  chart.tabIndex = 0;
  chart.setAttribute("role", "group");
  chart.setAttribute("aria-label", "Chart; the arrow keys read its values");
  chart.addEventListener("pointermove", async (event) => {
    const at = within(event);
    await ask();
    if (values) tell(nearest(at));
    if (begun !== null) {
      picked.setAttribute("x", String(Math.min(begun, at)));
      picked.setAttribute("width", String(Math.abs(at - begun)));
    }
  });
  chart.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) begun = within(event);
  });
  chart.addEventListener("pointerup", (event) => {
    if (begun === null) return;
    const [low, high] = [begun, within(event)].sort((a, b) => a - b);
    begun = null;
    picked.setAttribute("width", "0");
    if (high - low < 20) return;
    const time = (at) => Math.round(from + (at - left) / (right - left) * (to - from));
    location.search = new URLSearchParams({ from: time(low), to: time(high) });
  });
  chart.addEventListener("focus", ask);
  chart.addEventListener("keydown", async (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    await ask();
    if (!values) return;
    const last = values.at.length - 1;
    tell(Math.min(last, Math.max(0, (place < 0 ? last : place) + move)));
    readout.setAttribute("role", "status");
  });
}
document.querySelectorAll(".chart").forEach(readable);
