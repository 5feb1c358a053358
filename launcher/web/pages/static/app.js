"use strict";
// Keeps a page up to date: the server sends the fragments that changed, by their ids.

const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

function span(seconds) {
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(count + unit);
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join("") || "0s";
}

function tick(root) {
  const now = Date.now() / 1000;
  for (const each of root.querySelectorAll("time[data-mode]")) {
    const at = Date.parse(each.dateTime) / 1000;
    if (Number.isNaN(at)) continue;
    if (!each.title) each.title = each.textContent;
    const mode = each.dataset.mode;
    const text = mode === "until" ? (at > now ? "in " + span(at - now) : "due")
      : mode === "for" ? span(now - at) : span(now - at) + " ago";
    if (each.textContent !== text) each.textContent = text;
  }
}

// What the reader typed, opened, selected or is about to click stays as it is.
const KEEPING = {
  beforeAttributeUpdated(name, element) {
    if (name === "open") return !element.matches("details");
    if (name === "value" && element.matches("input")) return element.value === element.defaultValue;
    return true;
  },
};

function replace(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  const holder = document.createElement("template");
  holder.innerHTML = html; // the server's own template: all texts in it are escaped
  const made = holder.content.firstElementChild;
  tick(made);
  Idiomorph.morph(old, made, { morphStyle: "outerHTML", callbacks: KEEPING });
}

let announcedAt = 0;
function announce(text) {
  const place = document.getElementById("announcement");
  if (!place || !text || place.textContent === text) return;
  if (Date.now() - announcedAt < 10000) return; // a busy queue must not talk all the time
  announcedAt = Date.now();
  place.textContent = text;
}

function connection(text) {
  const place = document.getElementById("connection");
  if (place && place.textContent !== text) place.textContent = text;
}

function follow(path) {
  let source = null;
  const open = () => {
    if (source) return;
    source = new EventSource(path);
    source.addEventListener("open", () => connection("live"));
    source.addEventListener("fragments", (event) => {
      const all = JSON.parse(event.data);
      for (const [id, html] of Object.entries(all)) replace(id, html);
      announce(document.querySelector("[data-summary]")?.dataset.summary);
    });
    source.addEventListener("reload", () => location.reload());
    source.addEventListener("trouble", (event) => connection(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      connection("not connected, trying again");
      if (source.readyState === EventSource.CLOSED) { // refused: not tried again by itself
        source = null;
        setTimeout(() => { if (!document.hidden) open(); }, 5000);
      }
    });
  };
  const close = () => { source?.close(); source = null; connection("paused"); };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  if (!document.hidden) open();
}

function followLog(place) {
  const MOST = 2000000;
  let empty = false;
  const source = new EventSource(place.dataset.log);
  const state = document.getElementById("log-state");
  source.addEventListener("text", (event) => {
    const atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    if (!empty) place.textContent = ""; // the lines that the page came with are sent again
    empty = true;
    place.append(JSON.parse(event.data));
    if (place.textContent.length > MOST) place.textContent = place.textContent.slice(-MOST / 2);
    if (atEnd) place.scrollTop = place.scrollHeight;
    if (state) state.textContent = "live";
  });
  source.addEventListener("end", () => {
    source.close();
    if (state) state.textContent = "complete";
  });
  source.addEventListener("error", () => {
    empty = false;
    if (state) state.textContent = "not connected, trying again";
  });
  window.addEventListener("pagehide", () => source.close());
}

function logIn(form) {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname); // the token stays in no history
  form.elements.token.value = token;
  form.submit();
}

document.documentElement.classList.add("script");
tick(document);
setInterval(() => tick(document), 1000);
const live = document.body.dataset.live;
if (live) follow(live);
const log = document.querySelector("[data-log]");
if (log) followLog(log);
const login = document.getElementById("login");
if (login) {
  logIn(login);
  window.addEventListener("hashchange", () => logIn(login)); // a link opened on this page
}
