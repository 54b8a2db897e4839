// Encodes pictures as small JPEGs in a worker, because the page's own thread encodes only when it is idle.

const canvas = new OffscreenCanvas(1, 1), context = canvas.getContext("2d", { willReadFrequently: true });

onmessage = async ({ data: { time, image, width, height } }) => {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.drawImage(image, 0, 0, width, height);
  image.close();
  postMessage({ time, blob: await canvas.convertToBlob({ type: "image/jpeg", quality: 0.88 }) });
};
