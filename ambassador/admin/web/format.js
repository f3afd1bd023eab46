"use strict";

// Numbers as people read them.

const number = new Intl.NumberFormat("en");

/** @param {number} bytes */
function size(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  let count = bytes;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    count /= 1000;
    if (count < 9.995) return `${count.toFixed(2)} ${unit}`;
    if (count < 99.95) return `${count.toFixed(1)} ${unit}`;
    if (count < 999.5) return `${Math.round(count)} ${unit}`;
  }
  return `${Math.round(count / 1000)} PB`;
}

/** @param {number} bytes */
function perSecond(bytes) {
  return `${size(bytes)}/s`;
}

/** @param {number} seconds */
function age(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return inTwo(seconds, 60, "m", 1, "s");
  if (seconds < 86400) return inTwo(seconds, 3600, "h", 60, "m");
  return inTwo(seconds, 86400, "d", 3600, "h");
}

/**
 * @param {number} seconds
 * @param {number} big
 * @param {string} first
 * @param {number} small
 * @param {string} second
 */
function inTwo(seconds, big, first, small, second) {
  return `${Math.floor(seconds / big)}${first} ${Math.floor((seconds % big) / small)}${second}`;
}

/**
 * Observations up to each bound, and in the last count those above all.
 * @typedef {{bounds: number[], counts: number[], sum: number}} Histogram
 */

/**
 * Write the bound that a *share* of all observations did not exceed.
 * @param {Histogram} histogram
 * @param {number} share
 */
function quantile(histogram, share) {
  const total = sum(histogram.counts);
  if (!total) return "–";
  let seen = 0;
  for (const [at, bound] of histogram.bounds.entries()) {
    seen += histogram.counts[at] ?? 0;
    if (seen >= share * total) return brief(bound);
  }
  return `> ${brief(histogram.bounds.at(-1) ?? 0)}`;
}

/** @param {number} seconds */
function brief(seconds) {
  return seconds < 1 ? `${+(seconds * 1000).toPrecision(3)} ms` : `${seconds} s`;
}

/** @param {number[]} counts */
function sum(counts) {
  return counts.reduce((a, b) => a + b, 0);
}
