import { patience } from './bounded.ts';
import type { ReadinessFacts } from './gateway.ts';

/** Asks the admin listener at `host:port`. */
export async function probeReadiness(admin: string): Promise<ReadinessFacts> {
  try {
    const response = await fetch(`http://${admin}/readyz`, { signal: AbortSignal.timeout(patience.question) });
    const lines = (await response.text()).split('\n').filter(Boolean);
    return { admin, ready: { status: response.status, lines } };
  } catch {
    return { admin };
  }
}
