// The one place where the viewer reads the time or waits for it.

export const clock = {
  /** Milliseconds of a clock that never goes back. */
  now: () => performance.now(),
  /** Calls `action` after `ms` milliseconds; returns a timer for `forget`. */
  later: (action, ms) => setTimeout(action, ms),
  forget: (timer) => clearTimeout(timer),
};
