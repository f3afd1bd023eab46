"use strict";

// Live connections: all are held, sorted and filtered here; only the rows in view exist.

/**
 * @typedef {object} Connection
 * @property {number} id
 * @property {string} route
 * @property {string} client
 * @property {string} upstream empty while there is none
 * @property {number} seconds
 * @property {number} bytes_up
 * @property {number} bytes_down
 * @property {string} state
 */

/** @typedef {Connection & {rate_up: number, rate_down: number}} Rated */
/** @typedef {{field: keyof Rated, title: string, kind: string, write: (entry: Rated) => string}} Column */

const ROW = 27; // pixels, as the style has it
const SPARE = 8; // rows above and below what is seen, so that scrolling shows no gap

/** @type {Column[]} */
const COLUMNS = [
  { field: "id", title: "ID", kind: "n", write: (entry) => String(entry.id) },
  { field: "route", title: "Route", kind: "", write: (entry) => entry.route },
  { field: "client", title: "Client", kind: "m", write: (entry) => entry.client },
  { field: "upstream", title: "Upstream", kind: "m", write: (entry) => entry.upstream },
  { field: "seconds", title: "Age", kind: "n", write: (entry) => age(entry.seconds) },
  { field: "bytes_up", title: "Up", kind: "n", write: (entry) => size(entry.bytes_up) },
  { field: "bytes_down", title: "Down", kind: "n", write: (entry) => size(entry.bytes_down) },
  { field: "rate_up", title: "Up/s", kind: "n", write: (entry) => perSecond(entry.rate_up) },
  { field: "rate_down", title: "Down/s", kind: "n", write: (entry) => perSecond(entry.rate_down) },
  { field: "state", title: "State", kind: "", write: (entry) => entry.state },
];

/** @type {Rated[]} */
let all = [];
/** @type {Rated[]} */
let view = [];
/** @type {Map<number, Rated>} */
let held = new Map();
let heldAt = 0;
/** @type {{by: keyof Rated, down: boolean}} */
let order = { by: "seconds", down: true };

const live = $("live");
const filter = must($("filter"), HTMLInputElement);
const [above, below] = [space(), space()];
find("#live tbody").append(above.row, below.row);
/** @type {Lines<Rated>} */
const rows = new Lines(find("#live tbody"), connectionLine, below.row);
const heads = COLUMNS.map(head);
find("#live thead tr").append(...heads, make("th", {}, make("span", { class: "away" }, "Actions")));

/** What stands for the rows that do not exist. */
function space() {
  const cell = make("td", { colspan: COLUMNS.length + 1 });
  return { cell, row: make("tr", { class: "space", "aria-hidden": "true" }, cell) };
}

/** @param {Column} column */
function head({ field, title, kind }) {
  const cell = make(
    "th",
    { class: kind === "n" ? "n" : undefined, scope: "col" },
    make("button", { type: "button" }, title),
  );
  cell.addEventListener("click", () => {
    order = { by: field, down: order.by === field ? !order.down : kind === "n" }; // of numbers, the biggest first
    arrange();
  });
  return cell;
}

/** @param {Connection[]} found */
function takeConnections(found) {
  const now = performance.now();
  const seconds = (now - heldAt) / 1000;
  all = found.map((entry) => {
    const was = held.get(entry.id);
    const [up, down] = was ? [was.bytes_up, was.bytes_down] : [0, 0];
    const since = was ? seconds : Math.max(entry.seconds, 0.001);
    return Object.assign(entry, {
      rate_up: (entry.bytes_up - up) / since,
      rate_down: (entry.bytes_down - down) / since,
    });
  });
  held = new Map(all.map((entry) => [entry.id, entry]));
  heldAt = now;
  arrange();
}

/** @param {string} text */
function search(text) {
  filter.value = text;
  arrange();
}

function arrange() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const { by, down } = order;
  const sign = down ? -1 : 1;
  view = all
    .filter((entry) => matches(entry, words))
    .sort((a, b) => (a[by] < b[by] ? -sign : a[by] > b[by] ? sign : a.id - b.id));
  for (const [at, { field }] of COLUMNS.entries()) {
    heads[at]?.setAttribute("aria-sort", field !== by ? "none" : down ? "descending" : "ascending");
  }
  const total = number.format(all.length);
  put($("live-note"), words.length ? `${number.format(view.length)} of ${total}` : total);
  find("#live table").setAttribute("aria-rowcount", String(view.length + 1));
  drawRows();
}

/**
 * @param {Rated} entry
 * @param {string[]} words
 */
function matches(entry, words) {
  if (!words.length) return true;
  const text = `${entry.id} ${entry.route} ${entry.client} ${entry.upstream} ${entry.state}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function drawRows() {
  const first = Math.max(0, Math.min(Math.floor(live.scrollTop / ROW) - SPARE, view.length - 1));
  const height = Math.max(live.clientHeight, 0.62 * innerHeight); // it may be about to grow to its max-height
  const last = Math.min(view.length, Math.ceil((live.scrollTop + height) / ROW) + SPARE);
  rows.show(view.slice(first, last));
  for (const [at, { node }] of rows.lines.entries()) {
    node.classList.toggle("odd", (first + at) % 2 === 1);
    node.setAttribute("aria-rowindex", String(first + at + 2));
  }
  above.cell.style.height = `${first * ROW}px`;
  below.cell.style.height = `${Math.max(0, view.length - last) * ROW}px`;
}

/** @returns {Line<Rated>} */
function connectionLine() {
  const cells = COLUMNS.map(({ kind }) => make("td", { class: kind || undefined }));
  const button = make("button", { type: "button", class: "danger" }, "Reset");
  /** @type {Rated | null} */
  let shown = null;
  button.addEventListener("click", () => shown && reset(shown));
  return {
    node: make("tr", {}, ...cells, make("td", { class: "n" }, button)),
    show(entry) {
      shown = entry;
      for (const [at, { write }] of COLUMNS.entries()) put(/** @type {Element} */ (cells[at]), write(entry) || "–");
      button.setAttribute("aria-label", `Reset connection ${entry.id}`);
    },
  };
}

filter.addEventListener("input", arrange);
live.addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
addEventListener("resize", drawRows);
