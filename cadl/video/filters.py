"""ffmpeg's filters that turn a file's frames into upright BT.709 frames of one size."""

from cadl.video.facts import FirstFrames

DEINTERLACE = "bwdif=mode=send_frame:deint=interlaced"
TONE_MAP = (
    "zscale=t=linear:npl=100,format=gbrpf32le,tonemap=hable:desat=0,"
    "zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p"
)
# Transparent frames are laid on white, as transparent pictures are.
ON_WHITE = (
    "split[frame][below];[below]drawbox=color=white:thickness=fill:replace=1[white];"
    "[white][frame]overlay=format=auto"
)
WITH_ALPHA = (
    "yuva", "gbrap", "rgba", "bgra", "argb", "abgr", "ya8", "ya16", "pal8", "ayuv", "vuya",
)  # fmt: skip
WHOLE_CHROMA = (
    "format=yuv444p|yuv444p10le|yuv444p16le|yuva444p|yuva444p10le|yuva444p16le|gbrp|gbrp10le|gbrap|"
    "rgb24|rgba|gray|gray10le|gray16le"
)
HDR = frozenset({"smpte2084", "arib-std-b67"})
# What zscale knows besides BT.709.
MATRICES = frozenset(
    "gbr bt709 fcc bt470bg smpte170m smpte240m ycgco bt2020nc bt2020c chroma-derived-nc".split()
)
PRIMARIES = frozenset(
    "bt470m bt470bg smpte170m smpte240m film bt2020 smpte428 smpte431 smpte432 ebu3213".split()
)


def to_bt709(frames: FirstFrames) -> tuple[str, ...]:
    """Returns the filters that a track needs; each unknown fact of its colours is guessed alone."""
    found = [DEINTERLACE] if frames.interlaced else []
    if frames.pixel_format.startswith(WITH_ALPHA):
        found.append(ON_WHITE)
    is_hdr = frames.transfer in HDR
    facts = {}
    if frames.matrix not in MATRICES:
        width, height = frames.size
        is_wide = is_hdr or frames.primaries == "bt2020"
        is_small = width < 1280 and height <= 576
        facts["colorspace"] = "bt2020nc" if is_wide else "smpte170m" if is_small else "bt709"
    primaries = frames.primaries
    if primaries not in PRIMARIES | {"bt709"}:
        primaries = "bt2020" if is_hdr or frames.matrix.startswith("bt2020") else "bt709"
        facts["color_primaries"] = primaries
    if not is_hdr:
        facts["color_trc"] = "bt709"  # curves of usual screens are shown alike
    if facts:
        found.append("setparams=" + ":".join(f"{name}={value}" for name, value in facts.items()))
    if is_hdr:
        found.append(TONE_MAP)
    elif primaries != "bt709":
        found.append("zscale=p=bt709")
    return tuple(found)


def one_size(frames: FirstFrames) -> str:
    """Returns the filters that fit frames of any other size, centred, into that of the first."""
    width, height = frames.size
    aspect = frames.pixel_aspect or 1
    same = f"eq(iw\\,{width})*eq(ih\\,{height})"
    shape = f"{float(width * aspect / height):.9f}"
    across = f"if({same}\\,{width}\\,max(1\\,round({width}*min(1\\,dar/{shape}))))"
    down = f"if({same}\\,{height}\\,max(1\\,round({height}*min(1\\,{shape}/dar))))"
    cell = 4 if frames.pixel_format.startswith(("yuv410", "yuv411", "yuvj411")) else 2
    whole = f"{WHOLE_CHROMA}," if width % cell or height % cell else ""  # pad cuts cells of chroma
    return f"scale={across}:{down},{whole}pad={width}:{height}:-1:-1"
