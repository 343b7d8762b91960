# A worker that lies: the real one, behind a go-between that changes what it says. Run as its program: between.py HOW WORKER
#
#   lazy   a verification came out the same, whatever it did, and its witness is made up
#   cut    an answer ends, by itself, with its fifth token
import os, socket, struct, subprocess, sys, threading
how, worker = sys.argv[1:]
TOKEN, DONE, VERIFIED = 70, 71, 72
EOS, KEPT = 1, 5
parent = socket.socket(fileno=3)
ours, its = socket.socketpair()
os.set_inheritable(4, True)
def start():
    os.dup2(its.fileno(), 3, inheritable=True)
child = subprocess.Popen([worker], pass_fds=[f for f in (3, 4, 5) if os.path.exists("/proc/self/fd/%d" % f)], preexec_fn=start)
its.close()
def ask():
    while data := parent.recv(1 << 16):
        ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)
threading.Thread(target=ask, daemon=True).start()
def take(n):
    data = b""
    while len(data) < n:
        more = ours.recv(n - len(data))
        if not more:
            child.wait()
            os._exit(child.returncode & 0xFF)
        data += more
    return data
def lazy(body):
    if body[0] == VERIFIED and len(body) > 32:
        body[9] = 1
        body[-32:] = os.urandom(32)
    return [body]
over = set()
def cut(body):
    if body[0] not in (TOKEN, DONE):
        return [body]
    asked = bytes(body[1:9])
    if asked in over:
        return []
    if body[0] != TOKEN or struct.unpack_from("<I", body, 9)[0] != KEPT - 1:
        return [body]
    over.add(asked)
    digest = bytes(body[17:49])
    done = struct.pack("<B8sBIIIII32sQQI", DONE, asked, EOS, 1, 0, KEPT, 0, 0, digest, 1, 1, 0)
    return [body, done]
while True:
    body = bytearray(take(struct.unpack("<I", take(4))[0]))
    for message in (lazy if how == "lazy" else cut)(body):
        parent.sendall(struct.pack("<I", len(message)) + message)
