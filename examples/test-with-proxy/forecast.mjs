/** The program under test: it knows nothing of proxies but how to be told of one. */
import { fetch, ProxyAgent } from 'undici';

/**
 * Tomorrow's weather, as one line.
 *
 * @param {string} city
 * @param {{ proxy?: string, ca?: string }} [settings] a proxy, and a CA in PEM to trust for what it shows
 */
export async function forecast(city, { proxy, ca } = {}) {
  const dispatcher = proxy === undefined ? undefined : new ProxyAgent({ uri: proxy, requestTls: { ca } });
  try {
    const url = `https://weather.example.com/v1/forecast?city=${encodeURIComponent(city)}`;
    const response = await fetch(url, { ...(dispatcher && { dispatcher }) });
    if (response.status === 404) return `${city} is not known`;
    if (!response.ok) throw new Error(`the weather service answered ${response.status}`);
    const { low, high } = /** @type {{ low: number, high: number }} */ (await response.json());
    return `${city}: ${low} to ${high} °C`;
  } finally {
    await dispatcher?.close();
  }
}
