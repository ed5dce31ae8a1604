"""Videos read and written: ffmpeg, frames, shots, optical flow. Only this room starts ffmpeg."""
