#!/usr/bin/python3
"""An RTSP camera from Debian's GStreamer packages.

    camera.py PORT CLIP USER PASSWORD STREAMS [udp]

Plays the clip's streams in real time at rtsp://127.0.0.1:PORT/cam, behind digest authentication. STREAMS says how they are
coded: h264+aac, h264, h265+pcmu, mjpeg+pcmu. With "udp" the camera refuses TCP for them (461). PORT 0 takes a free one. Prints
"ready PORT" when it can be reached.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PAYLOADERS = {
    "h264": "h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 aggregate-mode=zero-latency",
    "h265": "h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "jpegparse ! rtpjpegpay name=pay0 pt=26",
    "aac": "aacparse ! rtpmp4gpay name=pay1 pt=97",
    "pcmu": "rtppcmupay name=pay1 pt=0",
}


def permit_only(role):
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(role, right, True)
    return permissions


def media(launch, role, udp):
    factory = GstRtspServer.RTSPMediaFactory()
    if udp:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    factory.set_launch(f"( {launch} )")
    factory.set_shared(True)
    factory.set_eos_shutdown(True)
    factory.set_permissions(permit_only(role))
    return factory


def digest(user, password, role):
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", role)
    auth.add_digest(user, password, token)
    return auth


def main():
    port, clip, user, password, streams = sys.argv[1:6]
    udp = sys.argv[6:] == ["udp"]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    source = f"filesrc location={clip} ! qtdemux name=clip"
    for pad, stream in zip(("video_0", "audio_0"), streams.split("+")):
        source += f" clip.{pad} ! queue ! {PAYLOADERS[stream]}"
    server.get_mount_points().add_factory("/cam", media(source, "viewer", udp))
    server.set_auth(digest(user, password, "viewer"))
    if not server.attach(None):
        sys.exit(f"cannot listen on port {port}")
    print(f"ready {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


main()
