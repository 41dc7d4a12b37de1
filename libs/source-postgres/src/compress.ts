import { constants, zstdCompress } from 'node:zlib';

/** Compresses one block off the main thread, at the level that costs least. */
export function compress(bytes: Buffer): Promise<Buffer> {
  const options = {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
    // Room for the whole result: with the default of 16 kB each piece is a round trip through the thread pool.
    chunkSize: bytes.length + (bytes.length >> 8) + 1024,
  };
  return new Promise((resolve, reject) => {
    zstdCompress(bytes, options, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
