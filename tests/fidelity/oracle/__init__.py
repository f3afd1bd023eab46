"""A differential oracle for TCP relays: what do a client and a server see, joined directly and through a relay?

Black box and without dependencies: a *subject* is a process (or several) between a scripted client and a scripted
server, and each of the two writes down what it saw. `scenarios` holds the scripts, `steps` their words, `subjects` the
relays, `stage` runs one script on one subject, `verdict` compares.
"""
