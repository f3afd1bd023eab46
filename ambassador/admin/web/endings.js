"use strict";

// Endings, those of the last minutes first. What each means and how much it weighs, the server wrote into the page.

/** @typedef {{weight: "ordinary" | "intended" | "trouble", meaning: string}} Known */
/** @typedef {{end: string, recent: number, total: number, most: number}} Ending */

/** @type {Map<string, Known>} */
const KNOWN = new Map(Object.entries(JSON.parse($("ends").textContent)));
const COLORS = { ordinary: "", intended: "warn", trouble: "bad" };
const WIDEST = 170;

/** @type {Lines<Ending>} */
const endings = new Lines(find("#endings tbody"), endingLine);

/**
 * One that is not known here is of a newer server: trouble, as the server has it.
 * @param {string} end
 * @returns {Known}
 */
function known(end) {
  return KNOWN.get(end) ?? { weight: "trouble", meaning: "" };
}

/** @param {Record<string, number>} ends */
function troubled(ends) {
  return sum(Object.entries(ends).map(([end, count]) => (known(end).weight === "ordinary" ? 0 : count)));
}

/**
 * @param {Record<string, number>} totals since the start
 * @param {Record<string, number>} recent
 * @param {number} seconds that are recent
 */
function showEndings(totals, recent, seconds) {
  const most = Math.max(1, ...Object.values(recent));
  const found = Object.entries(totals)
    .filter(([, total]) => total)
    .map(([end, total]) => ({ end, recent: recent[end] ?? 0, total, most }))
    .sort((a, b) => b.recent - a.recent || b.total - a.total);
  put($("endings-note"), found.length ? `in the last ${age(seconds)}` : "none yet");
  $("endings").hidden = !found.length;
  endings.show(found);
}

/** @returns {Line<Ending>} */
function endingLine() {
  const meter = make("span", { class: "meter" });
  const [name, recently, total, meaning] = [
    make("td", { class: "m" }),
    make("td", { class: "n" }),
    make("td", { class: "n" }),
    make("td", { class: "soft" }),
  ];
  return {
    node: make("tr", {}, name, recently, make("td", { class: "w" }, meter), total, meaning),
    show(ending) {
      const color = COLORS[known(ending.end).weight];
      put(name, ending.end);
      name.className = `m ${color}`;
      put(recently, number.format(ending.recent));
      meter.className = `meter ${color}`;
      meter.style.width = `${(WIDEST * ending.recent) / ending.most}px`;
      meter.style.visibility = ending.recent ? "visible" : "hidden";
      put(total, number.format(ending.total));
      putProse(meaning, known(ending.end).meaning);
    },
  };
}

/**
 * Set a text whose `names` are code.
 * @param {Element} node
 * @param {string} prose
 */
function putProse(node, prose) {
  const parts = prose.split("`");
  if (node.textContent === parts.join("")) return;
  node.replaceChildren(...parts.map((part, at) => (at % 2 ? make("code", {}, part) : part)));
}
