"""
Stands for a process that the server of ``forks.py`` forks, from its start to its end.

``fork_client.py SOCKET MODULE ARGUMENTS …`` runs what ``python -m MODULE ARGUMENTS …`` would. It
imports little, as the engine starts it hundreds of times.
"""

import _socket
import marshal
import os
import select
import signal
import sys

server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
server.connect(sys.argv[1])
streams = b"".join(stream.to_bytes(4, sys.byteorder) for stream in (0, 1, 2))
directory = os.getcwd()  # noqa: PTH109
request = marshal.dumps((sys.argv[2], sys.argv[3:], directory, dict(os.environb)))
numbers = (signal.SIGINT, signal.SIGTERM)
# What was asked for can run, and be told to end, before this process is ready for it.
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
server.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
server.setblocking(False)
for number in numbers:
    signal.signal(number, lambda *_: None)
# Python itself writes the number of a signal there when it arrives: none is late or lost.
signal.set_wakeup_fd(server.fileno())
signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
select.select([server.fileno()], [], [])
sys.exit(int(server.recv(16)))
