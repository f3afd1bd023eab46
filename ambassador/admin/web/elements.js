"use strict";

// Elements: found, made and filled.

/**
 * Return *node*, which is of *kind*: a page without it is a fault of ours.
 * @template {Element} T
 * @param {Element | null} node
 * @param {new () => T} kind
 * @returns {T}
 */
function must(node, kind) {
  if (!(node instanceof kind)) throw new TypeError(`the page has no such ${kind.name}`);
  return node;
}

/** @param {string} id */
function $(id) {
  return must(document.getElementById(id), HTMLElement);
}

/** @param {string} selector */
function find(selector) {
  return must(document.querySelector(selector), HTMLElement);
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | number | undefined>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children);
  return node;
}

/**
 * Set a text, unless it is there: whoever selects or reads it aloud is not disturbed.
 * @param {Element} node
 * @param {string} text
 */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Something of a list, and how another is shown in its place.
 * @template T
 * @typedef {{node: Element, show: (entry: T, at: number) => void}} Line
 */

/**
 * As many lines as there are entries; a line stays where it is and shows another entry, so that focus stays, too.
 * @template T
 */
class Lines {
  /**
   * @param {Element} parent
   * @param {() => Line<T>} create
   * @param {Element | null} end what comes after the last line
   */
  constructor(parent, create, end = null) {
    this.parent = parent;
    this.create = create;
    this.end = end;
    /** @type {Line<T>[]} */
    this.lines = [];
  }

  /** @param {T[]} entries */
  show(entries) {
    for (const gone of this.lines.splice(entries.length)) gone.node.remove();
    for (const [at, entry] of entries.entries()) {
      const line = this.lines[at] ?? this.add();
      line.show(entry, at);
    }
  }

  add() {
    const line = this.create();
    this.parent.insertBefore(line.node, this.end);
    this.lines.push(line);
    return line;
  }
}
