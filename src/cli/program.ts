import { delimiter, join, relative } from 'node:path';
import { quoted } from './install.ts';

/** Where this program runs. */
export interface Surroundings {
  /** The top of the clone or package. */
  readonly root: string;
  readonly cwd: string;
  /** The variable PATH. */
  readonly path: string;
  readonly has: (file: string) => boolean;
}

/** How this program is called from a shell in the same directory. */
export function programName({ root, cwd, path, has }: Surroundings): string {
  if (has(join(root, 'src'))) return `node ${shorter(join(root, 'bin', 'layover.js'), cwd)}`;
  if (path.split(delimiter).some((folder) => has(join(folder, 'layover')))) return 'layover';
  const launcher = join(root, '..', 'layover');
  return has(launcher) && has(join(root, '..', 'runtime')) ? shorter(launcher, cwd) : 'npx layover';
}

/** Below the working directory, as somebody there would write it. */
function shorter(file: string, cwd: string): string {
  const path = relative(cwd, file);
  if (path.startsWith('..')) return quoted(file);
  return quoted(path.includes('/') ? path : `./${path}`);
}
