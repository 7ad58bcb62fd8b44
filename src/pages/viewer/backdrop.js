// The light around the picture: a tiny copy of it that viewer.css blurs over the whole page.

/** Repaints `canvas` from `video` a few times a second, each time a little, so that it glides. */
export function glow(canvas, video) {
  canvas.width = 32;
  canvas.height = 18;
  const context = canvas.getContext("2d", { alpha: true });
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  setInterval(() => {
    if (document.hidden || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
    context.globalAlpha = 0.35;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    canvas.dataset.lit = "";
  }, 125);
}
