/** `load-minimum.mjs`, in a program that uses of RxJS what a store uses. */
import { BehaviorSubject, defer, distinctUntilChanged, filter, map, Subject, switchMap, takeWhile } from 'rxjs';
import './load-minimum.mjs';

const states = new BehaviorSubject(0);
const events = new Subject();
defer(() => states)
  .pipe(
    filter((state) => state > 0),
    takeWhile((state) => state > 0),
    switchMap((state) => [state]),
    map(String),
    distinctUntilChanged(),
  )
  .subscribe(events);
states.next(1);
