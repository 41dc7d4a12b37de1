import { kafkaTapStore } from './testing/tap-fixture.ts';
import { describeTap } from './testing/tap-suite.ts';

describeTap('on Kafka', kafkaTapStore);
