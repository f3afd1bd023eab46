"use strict";

// Charts: one path a series, right-aligned, with the values under the pointer in the caption.

const SVG = "http://www.w3.org/2000/svg";
const MINUTES = 5;

/** @typedef {{name: string, key: string, color: string}} Series */

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}

class Chart {
  /**
   * @param {string} title
   * @param {Series[]} series
   * @param {(value: number) => string} write
   */
  constructor(title, series, write) {
    this.write = write;
    /** @type {number | null} where the pointer is, from 0 to 1 */
    this.at = null;
    /** @type {number[][]} */
    this.values = [];
    this.interval = 2;
    this.slots = 150;
    this.svg = shape("svg", { viewBox: "0 0 300 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const y of [0, 50, 100]) this.svg.append(shape("line", { class: "grid", x1: 0, x2: 300, y1: y, y2: y }));
    this.lines = series.map(({ name, key, color }) => ({
      name,
      caption: make("span", { class: `key ${key}` }),
      area: shape("path", { class: `area fill-${color}` }),
      stroke: shape("path", { class: `stroke-${color}` }),
    }));
    this.mark = shape("line", { class: "mark", y1: 0, y2: 100, visibility: "hidden" });
    this.svg.append(...this.lines.flatMap((line) => [line.area, line.stroke]), this.mark);
    this.peak = make("span");
    this.from = make("span");
    const caption = make("figcaption", {}, make("b", {}, title), ...this.lines.map((line) => line.caption));
    const axis = make("div", { class: "axis" }, this.from, this.peak, make("span", {}, "now"));
    this.figure = make("figure", { class: "card" }, caption, this.svg, axis);
    this.svg.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect();
      this.at = (event.clientX - box.left) / box.width;
      this.draw();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.at = null;
      this.draw();
    });
  }

  /**
   * @param {number[][]} values of each series, oldest first
   * @param {number} interval between two values, in seconds
   */
  show(values, interval) {
    this.values = values;
    this.interval = interval;
    this.slots = Math.round((60 * MINUTES) / interval);
    this.draw();
  }

  draw() {
    const length = Math.max(0, ...this.values.map((line) => line.length));
    const peak = Math.max(0, ...this.values.flat());
    const shown = this.pointed(length);
    /** @param {number} at */
    const x = (at) => 300 - ((length - 1 - at) * 300) / (this.slots - 1);
    for (const [which, line] of this.lines.entries()) {
      const values = this.values[which] ?? [];
      const points = values.map((value, at) => `${x(at).toFixed(2)},${(100 - (96 * value) / (peak || 1)).toFixed(2)}`);
      const stroke = points.length ? `M${points.join("L")}` : "";
      line.stroke.setAttribute("d", stroke);
      line.area.setAttribute("d", stroke && `${stroke}L300,100L${x(0).toFixed(2)},100Z`);
      const value = values[shown ?? values.length - 1];
      put(line.caption, `${line.name} ${value === undefined ? "–" : this.write(value)}`);
    }
    this.mark.setAttribute("visibility", shown === null ? "hidden" : "visible");
    if (shown !== null) for (const end of ["x1", "x2"]) this.mark.setAttribute(end, String(x(shown)));
    put(this.peak, `peak ${this.write(peak)}`);
    put(this.from, shown === null ? `${MINUTES} min ago` : `at ${age((length - 1 - shown) * this.interval)} ago`);
  }

  /**
   * Return which of *length* values is under the pointer.
   * @param {number} length
   */
  pointed(length) {
    if (this.at === null) return null;
    const index = Math.round(this.at * (this.slots - 1)) - (this.slots - length);
    return index >= 0 && index < length ? index : null;
  }
}
