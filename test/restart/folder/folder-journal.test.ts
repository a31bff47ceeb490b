import { openFolderJournal } from '../../../src/restart/folder/folder-journal.js';
import { describeJournal } from '../journal-suite.js';
import { folderMedium } from './folder-medium.js';

describeJournal('a journal in a folder, opened at once', () => folderMedium());
const options = { sync: 'disk', segmentBytes: 100 } as const;
describeJournal(
  'a journal in a folder, flushed to the disk, in segments of 100 bytes, opened in slices',
  () => folderMedium(options, (path) => openFolderJournal(path, options)),
);
