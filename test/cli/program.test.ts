import test from 'ava';
import { programName, type Surroundings } from '../../src/cli/program.ts';

const TABLE: Readonly<Record<string, readonly [files: readonly string[], cwd: string, expected: string]>> = {
  'a clone, in its directory': [['/srv/clone/src', '/usr/bin/layover'], '/srv/clone', 'node bin/layover.js'],
  'a clone, from elsewhere': [['/srv/clone/src'], '/home/me', 'node /srv/clone/bin/layover.js'],
  'a package that the shell finds': [['/usr/bin/layover'], '/home/me', 'layover'],
  'a package in a project': [[], '/home/me', 'npx layover'],
  'an archive with a link to it': [['/srv/layover', '/srv/runtime', '/usr/bin/layover'], '/srv', 'layover'],
  'an archive, in its directory': [['/srv/layover', '/srv/runtime'], '/srv', './layover'],
  'an archive, from above': [['/srv/layover', '/srv/runtime'], '/', 'srv/layover'],
  'an archive, from elsewhere': [['/srv/layover', '/srv/runtime'], '/home/me', '/srv/layover'],
};

for (const [name, [files, cwd, expected]] of Object.entries(TABLE)) {
  test(`the program is called as a shell finds it: ${name}`, (t) => {
    const root = name.startsWith('a clone') ? '/srv/clone' : '/srv/app';
    const surroundings: Surroundings = { root, cwd, path: '/bin:/usr/bin', has: (file) => files.includes(file) };
    t.is(programName(surroundings), expected);
  });
}
