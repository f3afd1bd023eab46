"use strict";

// Routes, each with its endpoints.

/**
 * @typedef {object} Endpoint
 * @property {string} name
 * @property {boolean | null} up null until it was dialled
 * @property {number} for seconds
 * @property {string | null} error
 * @property {number} failures
 * @property {number} early_resets
 * @property {string[]} resolved
 */

/**
 * @typedef {object} Route
 * @property {string} name
 * @property {string[]} listen
 * @property {number} active
 * @property {Record<string, number>} ends
 * @property {number} bytes_up
 * @property {number} bytes_down
 * @property {number} accept_paused
 * @property {Histogram} connect
 * @property {Endpoint[]} endpoints
 */

/** @typedef {{route: Route, uptime: number}} RouteThen */

/** @type {Lines<RouteThen>} */
const routes = new Lines(find("#routes tbody"), routeLine);

/**
 * @param {Route[]} found
 * @param {number} uptime when, in seconds since the start
 */
function showRoutes(found, uptime) {
  put($("routes-note"), String(found.length));
  routes.show(found.map((route) => ({ route, uptime })));
}

/** @returns {Line<RouteThen>} */
function routeLine() {
  const dot = make("span", { class: "dot" });
  const link = make("button", { class: "link", type: "button" });
  link.addEventListener("click", () => search(link.textContent));
  const listen = make("div", { class: "soft listen", title: "listens here" });
  const upstream = make("td", { class: "wrap" });
  const endpoints = new Lines(upstream, endpointLine);
  const cells = Array.from({ length: 9 }, () => make("td", { class: "n" }));
  /** @type {RouteThen | null} */
  let before = null;
  return {
    node: make("tr", {}, make("td", {}, dot, link, listen), upstream, ...cells),
    show(now) {
      const { route } = now;
      const down = route.endpoints.filter((endpoint) => endpoint.up === false).length;
      dot.className = `dot ${reach(route.endpoints, down)}`;
      dot.title =
        down === route.endpoints.length ? "down" : down ? "some endpoints are down" : "up, as far as is known";
      put(link, route.name);
      const note = down ? `, ${down} endpoints down` : "";
      link.setAttribute("aria-label", `show the connections of ${route.name}${note}`);
      put(listen, route.listen.join(", "));
      endpoints.show(route.endpoints);
      const trouble = troubled(route.ends);
      const texts = routeNumbers(now, before, trouble);
      for (const [column, cell] of cells.entries()) put(cell, texts[column] ?? "");
      cells[2]?.classList.toggle("bad", trouble > 0);
      cells[8]?.classList.toggle("warn", route.accept_paused > 0);
      before = now;
    },
  };
}

/**
 * @param {Endpoint[]} endpoints
 * @param {number} down how many of them are
 */
function reach(endpoints, down) {
  if (down === endpoints.length) return "down";
  if (down) return "part";
  return endpoints.some((endpoint) => endpoint.up) ? "up" : "";
}

/**
 * @param {RouteThen} now
 * @param {RouteThen | null} before
 * @param {number} trouble
 */
function routeNumbers({ route, uptime }, before, trouble) {
  const was = before?.route.name === route.name && uptime > before.uptime ? before : null;
  /** @param {"bytes_up" | "bytes_down"} way */
  const rate = (way) => (was ? perSecond(Math.max(0, route[way] - was.route[way]) / (uptime - was.uptime)) : "–");
  return [
    number.format(route.active),
    number.format(sum(Object.values(route.ends))),
    number.format(trouble),
    size(route.bytes_up),
    size(route.bytes_down),
    rate("bytes_up"),
    rate("bytes_down"),
    `${quantile(route.connect, 0.5)} / ${quantile(route.connect, 0.99)}`,
    number.format(route.accept_paused),
  ];
}

/** @returns {Line<Endpoint>} */
function endpointLine() {
  const [dot, name, note] = [make("span"), make("span"), make("span")];
  return {
    node: make("div", {}, dot, name, note),
    show(endpoint) {
      dot.className = `dot ${endpoint.up === null ? "" : endpoint.up ? "up" : "down"}`;
      put(name, `${endpoint.name} `);
      put(note, endpointFacts(endpoint).join(" · "));
      note.className = endpoint.up === false ? "bad" : endpoint.early_resets ? "warn" : "soft";
    },
  };
}

/** @param {Endpoint} endpoint */
function endpointFacts(endpoint) {
  const facts = [endpoint.up === null ? "not dialled yet" : `${endpoint.up ? "up" : "DOWN"} for ${age(endpoint.for)}`];
  const found = endpoint.resolved.filter((address) => !endpoint.name.includes(address));
  if (found.length) facts.push(`is ${found.join(", ")}`);
  if (endpoint.early_resets) facts.push(`${number.format(endpoint.early_resets)} resets before its first byte`);
  if (endpoint.up === false) facts.push(`${number.format(endpoint.failures)} failed: ${endpoint.error}`);
  return facts;
}
