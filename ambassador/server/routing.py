"""Which routes are served now: they come, are replaced, and go, one by one, while connections live on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from ambassador.config.routes import Route
    from ambassador.server.listener import Listener
    from ambassador.server.route import ServedRoute


class Routing:
    """The served routes by their names, in the order in which they came. Owns their listeners.

    *serve* makes what serves a route, *listen* a listener of it on a bound socket, which the listener then owns.
    """

    def __init__(
        self, serve: Callable[[Route], ServedRoute], listen: Callable[[socket.socket, ServedRoute], Listener]
    ) -> None:
        self._serve = serve
        self._listen = listen
        self._routes: dict[str, ServedRoute] = {}

    def __iter__(self) -> Iterator[ServedRoute]:
        """Go through the routes."""
        return iter(list(self._routes.values()))

    def __len__(self) -> int:
        """Count the routes."""
        return len(self._routes)

    def __getitem__(self, name: str) -> ServedRoute:
        """Return the route of this name."""
        return self._routes[name]

    def listeners(self) -> Iterator[Listener]:
        """Go through the listeners of all routes."""
        return (listener for route in self for listener in route.listeners)

    def add(self, route: Route, sockets: Sequence[socket.socket]) -> ServedRoute:
        """Serve another route on its bound sockets, which it owns from here on. Its listeners are yet to be started."""
        assert route.name not in self._routes  # noqa: S101 - names are unique within a configuration
        served = self._routes[route.name] = self._serve(route)
        served.listeners.extend(self._listen(sock, served) for sock in sockets)
        return served

    def replace(self, route: Route) -> ServedRoute:
        """Dial another upstream for the route of this name from now on.

        Its listeners stay open, its counters go on, and connections keep the upstream that they dialled.
        """
        served = self._routes[route.name]
        served.configured = route
        served.upstream = self._serve(route).upstream
        return served

    def remove(self, name: str) -> None:
        """Close the listeners of a route; nobody who was accepted or waits to be is reset, and connections live on."""
        for listener in self._routes.pop(name).listeners:
            listener.close()

    def close(self) -> None:
        """Close every listener; the routes stay, for their connections and counters."""
        for listener in self.listeners():
            listener.close()
