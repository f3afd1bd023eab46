"use strict";

// Asking, again and again, and showing what was answered.

/**
 * The last minutes, each list oldest first.
 * @typedef {object} Rates
 * @property {number} interval seconds between two values
 * @property {number} seconds in which *ends* ended
 * @property {number[]} live
 * @property {number[]} bytes_up
 * @property {number[]} bytes_down
 * @property {number[]} ended
 * @property {number[]} troubled
 * @property {Record<string, number>} ends
 */

/**
 * @typedef {object} Status
 * @property {string} version
 * @property {string} state
 * @property {number} workers
 * @property {number} uptime seconds
 * @property {number | null} limit
 * @property {number} live
 * @property {number} dropped_lines
 * @property {number} pipes_lent
 * @property {Route[]} routes
 * @property {{ends: Record<string, number>}} totals
 * @property {Rates} rates
 */

const PAUSE = 2000; // milliseconds between two looks
const MANY = 2000; // with so many live connections, their list is fetched in every fourth round
const SELDOM = 4;

const throughput = new Chart(
  "Throughput",
  [
    { name: "up", key: "up", color: "up" },
    { name: "down", key: "down", color: "down" },
  ],
  perSecond,
);
const living = new Chart("Connections", [{ name: "live", key: "one", color: "up" }], (value) => number.format(value));
const turnover = new Chart(
  "Ended a second",
  [
    { name: "all", key: "down", color: "down" },
    { name: "in trouble", key: "bad", color: "bad" },
  ],
  (value) => number.format(value),
);
$("charts").append(throughput.figure, living.figure, turnover.figure);

let paused = false;
let rounds = 0;
/** @type {number | null} when everything was answered last */
let heard = null;

/** @param {string} path */
async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`${path} is answered by ${answer.status}`);
  return answer.json();
}

async function look() {
  /** @type {Status} */
  const status = await ask("status");
  showProcess(status);
  showRates(status.rates);
  showRoutes(status.routes, status.uptime);
  showEndings(status.totals.ends, status.rates.ends, status.rates.seconds);
  if (status.live < MANY || rounds % SELDOM === 0) await lookAtConnections();
  rounds++;
  heard = Date.now();
  say("");
}

async function lookAtConnections() {
  /** @type {{connections: Connection[]}} */
  const found = await ask("connections");
  takeConnections(found.connections);
}

/** @param {Status} status */
function showProcess(status) {
  const live = number.format(status.live);
  document.title = `${status.state === "serving" ? "" : `${status.state} · `}${live} live · Ambassador`;
  put($("version"), status.version);
  showState(status.state, status.state);
  put($("uptime"), age(status.uptime));
  put($("count"), live);
  put($("limit"), status.limit === null ? "" : ` of ${number.format(status.limit)}`);
  put($("workers"), status.workers > 1 ? `${status.workers} workers` : "");
  put($("dropped"), status.dropped_lines ? `${number.format(status.dropped_lines)} log lines dropped` : "");
  must($("drain"), HTMLButtonElement).disabled = status.state !== "serving";
}

/** @param {Rates} rates */
function showRates(rates) {
  throughput.show([rates.bytes_up, rates.bytes_down], rates.interval);
  living.show([rates.live], rates.interval);
  turnover.show([rates.ended, rates.troubled], rates.interval);
}

/**
 * @param {string} text
 * @param {string} kind
 */
function showState(text, kind) {
  put($("state"), text);
  $("state").className = `pill ${kind}`;
}

/**
 * Say what is wrong, and that what is shown is old; an empty text says that all is well.
 * @param {string} text
 */
function say(text) {
  put($("message"), text);
  $("message").classList.toggle("on", text !== "");
  document.body.classList.toggle("old", text !== "");
}

/** @param {unknown} error */
function message(error) {
  return error instanceof Error ? error.message : String(error);
}

async function round() {
  if (!paused && !document.hidden) {
    try {
      await look();
    } catch (error) {
      showState("no answer", "lost");
      const since = heard ? ` since ${new Date(heard).toLocaleTimeString()}` : "";
      say(`No answer${since}; asking again. ${message(error)}`);
    }
  }
  setTimeout(round, PAUSE);
}

function pause() {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  put($("pause-word"), paused ? "Resume" : "Pause");
  put($("age"), paused ? "paused" : "");
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  const typing = document.activeElement === filter;
  if (event.key === "Escape" && (typing || filter.value)) {
    filter.blur();
    search("");
  } else if (typing) return;
  else if (event.key === "/") {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "p") pause();
}

$("pause").addEventListener("click", pause);
addEventListener("keydown", press);
arrange();
round();
