// The light around the picture: a tiny copy of it, drawn large.

/**
 * Repaints `canvas` from `video` every few seconds, each time by half: without a GPU a look at the video costs a frame.
 *
 * The blur is the stretching of a few pixels over the page. A CSS filter would be run again for every frame of the video, and
 * takes a browser without a GPU from 30 frames a second to 5.
 */
export function glow(canvas, video) {
  const few = document.createElement("canvas");
  [few.width, few.height] = [12, 7];
  [canvas.width, canvas.height] = [60, 35];
  const pixels = few.getContext("2d");
  const light = canvas.getContext("2d");
  light.imageSmoothingQuality = "high";
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const paint = () => {
    if (document.hidden || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    pixels.drawImage(video, 0, 0, few.width, few.height);
    light.globalAlpha = 0.5;
    light.drawImage(few, 0, 0, canvas.width, canvas.height);
    canvas.dataset.lit = "";
  };
  video.addEventListener("playing", paint);
  setInterval(paint, 5000);
}
