import test from 'ava';
import { readDocument } from '../support/markdown.ts';
import { readPlist } from './plist.ts';

test('the property list starts the gateway at boot, not as root, and gives its end the time it needs', async (t) => {
  const text = await readDocument('deploy/launchd/layover.plist');
  t.like(readPlist(text), {
    Label: 'layover',
    ProgramArguments: ['/usr/bin/env', 'layover', 'start'],
    WorkingDirectory: '/usr/local/var/layover',
    UserName: 'YOUR-NAME',
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ExitTimeOut: 45,
  });
  t.true((await readDocument('docs/install.md')).includes('YOUR-NAME'));
});

test('a property list with a mistake is told from one without', (t) => {
  const list = (body: string): string =>
    `<?xml version="1.0"?>\n<!DOCTYPE plist X>\n<plist version="1.0">${body}</plist>\n`;
  t.deepEqual(readPlist(list('<!-- a --><dict><key>a</key><array><integer>1</integer><false/></array></dict>')), {
    a: [1, false],
  });
  for (const wrong of [
    '<dict><string>a</string></dict>',
    '<dict><key>a</key></dict>',
    '<string>a',
    '<true/><true/>',
    '<array><true/>',
  ])
    t.throws(() => readPlist(list(wrong)), undefined, wrong);
});
