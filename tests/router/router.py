"""A home network's router, as far as asking it for a port goes: NAT-PMP (RFC 6886) and UPnP's WANIPConnection:1.

usage: router.py HOST OUTSIDE LOG natpmp|upnp|both|deaf
Each mapping that is made or taken back is a line of LOG: how, outside port, inside host, inside port, seconds.
"""
import http.server, re, socket, socketserver, struct, sys, threading, time

host, outside, log_path, how = sys.argv[1:]
born = time.time()
taken = {7718}  # by another machine, as UPnP sees it


def log(*words):
    with open(log_path, "a") as f:
        print(*words, file=f, flush=True)


def natpmp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((host, 5351))
    while True:
        ask, peer = s.recvfrom(64)
        epoch = int(time.time() - born)
        if ask == b"\0\0":
            s.sendto(struct.pack(">BBHI4s", 0, 128, 0, epoch, socket.inet_aton(outside)), peer)
        elif len(ask) == 12 and ask[:2] == b"\0\2":
            inside, wanted, seconds = struct.unpack(">HHI", ask[4:])
            port = 0 if seconds == 0 else wanted + 1000  # it has its own mind, as it may
            log("natpmp", port, peer[0], inside, seconds)
            s.sendto(struct.pack(">BBHIHHI", 0, 130, 0, epoch, inside, port, seconds), peer)


DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>router</friendlyName>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId><controlURL>/common</controlURL><eventSubURL>/e</eventSubURL>
<SCPDURL>/scpd</SCPDURL></service></serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/control</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/scpd</SCPDURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>"""
ENVELOPE = """<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>%s</s:Body></s:Envelope>"""
FAULT = """<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode></UPnPError></detail></s:Fault>"""


class Igd(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, body):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.say(200, DESCRIPTION)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = self.headers["SOAPAction"].strip('"').split("#")[1]
        field = lambda name: (re.search(f"<{name}>([^<]*)</{name}>", body) or [None, ""])[1]
        answer = {"GetStatusInfo": "<NewConnectionStatus>Connected</NewConnectionStatus><NewUptime>9</NewUptime>",
                  "GetExternalIPAddress": f"<NewExternalIPAddress>{outside}</NewExternalIPAddress>"}.get(action, "")
        port = int(field("NewExternalPort") or 0)
        if action == "AddPortMapping":
            if port in taken:
                return self.say(500, ENVELOPE % (FAULT % 718))
            log("upnp", port, field("NewInternalClient"), field("NewInternalPort"), field("NewLeaseDuration"))
        if action == "DeletePortMapping":
            log("upnp", port, "-", "-", 0)
        kind = "urn:schemas-upnp-org:service:WANIPConnection:1"
        self.say(200, ENVELOPE % f'<u:{action}Response xmlns:u="{kind}">{answer}</u:{action}Response>')


def ssdp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", 1900))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 socket.inet_aton("239.255.255.250") + socket.inet_aton(host))
    while True:
        ask, peer = s.recvfrom(2048)
        kind = re.search(rb"\nST: *([^\r\n]+)", ask)
        if ask.startswith(b"M-SEARCH") and kind and b"InternetGatewayDevice:1" in kind[1]:
            s.sendto(b"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: %s\r\nUSN: uuid:1::%s\r\nEXT:\r\n"
                     b"SERVER: test UPnP/1.0\r\nLOCATION: http://%s:5000/root.xml\r\n\r\n"
                     % (kind[1], kind[1], host.encode()), peer)


parts = []
if how in ("natpmp", "both"):
    parts.append(natpmp)
if how in ("upnp", "both"):
    socketserver.ThreadingTCPServer.allow_reuse_address = True  # and no HTTPServer, which asks for its own name
    parts += [ssdp, socketserver.ThreadingTCPServer((host, 5000), Igd).serve_forever]
for part in parts:
    threading.Thread(target=part, daemon=True).start()
log("up", how)
time.sleep(600)
