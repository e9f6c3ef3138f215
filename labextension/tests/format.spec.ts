import { ISession } from '../src/answers';
import {
  duration,
  extensions,
  gib,
  levelOfTime,
  levelOfUse,
  linePath,
  size,
  statusOf
} from '../src/format';

const trans = {
  __: (text: string, ...values: any[]) =>
    text.replace(/%(\d)/g, (_, n) => String(values[Number(n) - 1]))
};

const session = (values: Partial<ISession> = {}): ISession => ({
  id: 'a',
  name: 'work',
  project: 'ml101',
  fgpu: 0.5,
  gpu_memory_mib: 8192,
  cpu_milli: 2000,
  memory_mib: 4096,
  simulated: false,
  notice: null,
  alerts: [],
  requeue: false,
  page: '/sessions/a',
  use: { gpu_memory_mib: 3174, gpu: 0.5, cpu_milli: 100, memory_mib: 1024 },
  time: { seconds_left: 4800, code: 'lifetime' },
  ...values
});

test('quantities read as people say them', () => {
  expect([gib(3174), gib(16384), gib(0)]).toEqual(['3.1', '16', '0.0']);
  expect([size(500), size(3.1 * 2 ** 30), size(812 * 2 ** 20)]).toEqual([
    '500 B',
    '3.1 GiB',
    '812 MiB'
  ]);
  const lengths = [0, 45, 119, 120, 3599, 3600, 4800, 172800, -5];
  expect(lengths.map(each => duration(each, trans))).toEqual([
    '0 s',
    '45 s',
    '119 s',
    '2 min',
    '59 min',
    '1 h',
    '1 h 20 min',
    '2 d 0 h',
    '0 s'
  ]);
});

test('use and time turn amber and red', () => {
  expect([79, 80, 94, 95, 200].map(used => levelOfUse(used, 100))).toEqual([
    'ok',
    'amber',
    'amber',
    'red',
    'red'
  ]);
  expect(levelOfUse(null, 100)).toBe('ok');
  expect(levelOfUse(5, 0)).toBe('ok');
  expect([null, 900, 899, 300, 299].map(levelOfTime)).toEqual(['ok', 'ok', 'amber', 'amber', 'red']);
});

test('the status bar tells GPU memory of the slice and the time left', () => {
  expect(statusOf(session(), trans)).toEqual({
    text: 'GPU 3.1 / 8.0 GiB · 1 h 20 min left',
    level: 'ok'
  });
});

test('what is not measured is not made up', () => {
  const use = { gpu_memory_mib: null, gpu: null, cpu_milli: null, memory_mib: null };
  const time = { seconds_left: null, code: null };
  expect(statusOf(session({ use, time }), trans).text).toBe('GPU 8.0 GiB');
});

test('without a GPU it tells of memory', () => {
  const status = statusOf(session({ fgpu: 0, gpu_memory_mib: 0 }), trans);
  expect(status.text).toBe('Memory 1.0 / 4.0 GiB · 1 h 20 min left');
});

test('a warning is red and its time counts; an alert is amber at least', () => {
  const notice = { code: 'idle', message: '', stops_at: 0, seconds_left: 90 };
  expect(statusOf(session({ notice }), trans)).toEqual({
    text: 'GPU 3.1 / 8.0 GiB · 90 s left',
    level: 'red'
  });
  const alerts = [{ code: 'device', message: 'sick' }];
  expect(statusOf(session({ alerts }), trans).level).toBe('amber');
});

test('a line ends now, is cut at the limit and broken where nothing was measured', () => {
  const values = [
    { ago_s: 700, value: 1 },
    { ago_s: 600, value: 0 },
    { ago_s: 300, value: 50 },
    { ago_s: 200, value: null },
    { ago_s: 0, value: 900 }
  ];
  expect(linePath(values, 600, 100)).toBe('M0.0 100.0L50.0 50.0M100.0 0.0');
  expect(linePath([], 600, 100)).toBe('');
});

test('a session can be extended by the usual steps, and by all that is allowed', () => {
  expect(extensions(null)).toEqual([3600, 7200, 14400, 28800]);
  expect(extensions(5400)).toEqual([3600, 5400]);
  expect(extensions(30)).toEqual([]);
});
