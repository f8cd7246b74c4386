"""The one HTTP client of the toolkit: requests to one server, each bounded in time.

`client` sends requests, `bounded` connects, `proxies` finds the way, `tls` decides on trust,
`backoff` chooses the pause before the next try. Standard library only. Nothing here logs, follows
a redirect, or puts credentials into a message.
"""
