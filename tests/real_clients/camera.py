#!/usr/bin/python3
"""An RTSP camera from Debian's GStreamer packages.

    camera.py PORT CLIP.mp4 USER PASSWORD

Plays the clip's H.264 and AAC in real time at rtsp://127.0.0.1:PORT/cam, and its H.264 alone at /silent, behind digest
authentication. PORT 0 takes a free one. Prints "ready PORT" when it can be reached.
"""
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

VIDEO = "clip.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 aggregate-mode=zero-latency"
AUDIO = "clip.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"


def permit_only(role):
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role(role, right, True)
    return permissions


def media(launch, role):
    factory = GstRtspServer.RTSPMediaFactory()
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
    port, clip, user, password = sys.argv[1:5]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    source = f"filesrc location={clip} ! qtdemux name=clip"
    mounts = server.get_mount_points()
    mounts.add_factory("/cam", media(f"{source} {VIDEO} {AUDIO}", "viewer"))
    mounts.add_factory("/silent", media(f"{source} {VIDEO}", "viewer"))
    server.set_auth(digest(user, password, "viewer"))
    if not server.attach(None):
        sys.exit(f"cannot listen on port {port}")
    print(f"ready {server.get_bound_port()}", flush=True)
    GLib.MainLoop().run()


main()
