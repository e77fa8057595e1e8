/** Waiting for something that will happen, and saying what did not. */
/** Long, for machines that do much else: it is waited out only where something is wrong. */
const defaultPatience = 60_000;

/** `promise`, or a rejection that says `what` was waited for when it takes too long. */
export async function within<T>(promise: Promise<T>, what: string, ms = defaultPatience): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${ms} ms in vain for ${what}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks again and again until the answer is yes. For what has no event; use an event where there is one. */
export async function eventually(
  what: string,
  ask: () => boolean | Promise<boolean>,
  ms = defaultPatience,
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await ask())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
