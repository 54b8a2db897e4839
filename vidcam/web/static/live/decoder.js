// JPEGs become images. Browsers decode several at a time, and a later one may be ready first.

/** Returns a function that decodes a JPEG; null if one that was given later is decoded already, so that no older picture follows it. */
export function makeDecoder() {
  let given = 0, decoded = 0;
  return async (blob) => {
    const number = ++given, image = await createImageBitmap(blob);
    if (number < decoded) {
      image.close();
      return null;
    }
    decoded = number;
    return image;
  };
}
