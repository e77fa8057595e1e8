/** Commands that people paste into a shell. */

/** `text` as one word of a POSIX shell: in single quotes, within which nothing is special but the quote. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A path as one word of cmd.exe and PowerShell; Windows paths hold no double quote. */
export function windowsQuote(path: string): string {
  return `"${path}"`;
}

/** The request that shows the proxy at work; `proxyUrl` as `Proxy.url` gives it. */
export function curlExample(
  proxyUrl: string,
  caPath: string,
  platform: NodeJS.Platform = process.platform,
): string {
  const path = platform === 'win32' ? windowsQuote(caPath) : shellQuote(caPath);
  return `curl --proxy ${reachable(proxyUrl)} --cacert ${path} https://example.com/`;
}

/** A proxy that listens on every address is reached at the loopback one. */
function reachable(proxyUrl: string): string {
  return proxyUrl.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}
