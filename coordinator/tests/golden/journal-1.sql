PRAGMA application_id = 1937204581; PRAGMA user_version = 1;
CREATE TABLE epochs (
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    metrics TEXT NOT NULL,
    PRIMARY KEY (trial, attempt, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    no INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    at INTEGER NOT NULL,
    "check" INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE logs (
    trial BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    log_end INTEGER NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (trial, attempt, offset)
) STRICT;
CREATE TABLE steps (
    trial BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL,
    loss_bits INTEGER NOT NULL,
    PRIMARY KEY (trial, attempt, step)
) STRICT, WITHOUT ROWID;
INSERT INTO events VALUES (1, 1, 1, 3304757078, '{"coordinator_started":{"run":"00000000-0000-0000-0000-000000000003","build":"0.1.0"}}
');
INSERT INTO events VALUES (2, 1, 2, 525460771, '{"sweep_submitted":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","name":"small","user":"ada","project":"vision","plan":{"name":"small","base":{"accumulate":1,"augment_on":"cpu","augmentation":[],"batch_size":32,"checkpoint_steps":0,"clip_norm":0.0,"copies":[],"data":{"mean":[0.485,0.456,0.406],"skip_bad":0,"split_seed":0,"std":[0.229,0.224,0.225],"val_fraction":0.2},"dataset":"none","dropout":0.0,"ema":{"decay":0.0},"epochs":2,"fixed_copies":false,"freeze":{"all_but_last":0,"names":""},"image_size":32,"init":{"weights":""},"label_smoothing":0.0,"layout":"auto","lr":0.001,"model":{"resnet18":{"activation":"relu","blur_pool":false,"stem":"standard","zero_init_residual":false}},"optimizer":{"adam":{"beta1":0.9,"beta2":0.999,"decay_norm_bias":true,"eps":1e-8,"weight_decay":0.0}},"precision":"auto","schedule":"constant","seed":0,"warmup":{"epochs":0,"start_factor":0.3333333333333333,"steps":0}},"columns":[{"path":"lr","values":[0.1,0.01],"labels":["0.1","0.01"]},{"path":"dropout","values":[0.0,0.5],"labels":["0.0","0.5"]}],"cells":[0,0,0,1,1,0,1,1],"points":4,"seeds":[0],"order":[0,3,1,2],"baseline":0,"limits":{"max_retries":3}}}}
');
INSERT INTO events VALUES (3, 1, 3, 929647068, '{"agent_joined":{"agent":"00000000-0000-0000-0000-000000000007","host":"host","incarnation":1,"slots":["pretend","pretend"],"datasets":[{"name":"images","classes":10,"train_images":100,"val_images":20,"layout":"folders","path":"/data/images","fingerprint":"f00d"}],"data_roots":[],"any_dataset":true,"offer":{"labels":{"gpu":"a100"},"cores":8,"memory":137438953472,"devices":[{"id":"GPU-0","model":"A100","memory":68719476736,"slots":[0]}],"trainer":"sweep-trainer 0.1.0, libtorch 2.11.0"}}}
');
INSERT INTO events VALUES (4, 1, 4, 1116250483, '{"lease_granted":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"agent":"00000000-0000-0000-0000-000000000007","slot":0,"resume_epoch":0,"fingerprint":"f00d"}}
');
INSERT INTO events VALUES (5, 1, 5, 1657975455, '{"numerics_chosen":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"numerics":{"precision":"fp32","layout":"channels-last"}}}
');
INSERT INTO events VALUES (6, 1, 6, 1363769031, '{"trainer_started":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"origin":{"build":"sweep-trainer 0.1.0","engine":"libtorch 2.11.0","hardware":"A100, driver 580","parameters":11000000,"train_images":100,"val_images":20,"classes":10,"data":"d1"}}}
');
INSERT INTO events VALUES (7, 1, 7, 770537793, '{"epoch_reported":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"metrics":{"seq":1,"epoch":1,"train_loss":"nan:fff8000000000123","train_accuracy":0.5,"val_loss":"inf","val_accuracy":"-inf","lr":0.1,"images_per_s":100.0,"seconds":1.0}}}
');
INSERT INTO events VALUES (8, 1, 8, 3591695085, '{"checkpoint_kept":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"checkpoint":{"kind":"best","epoch":1,"seq":1,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bytes":1000}}}
');
INSERT INTO events VALUES (9, 1, 9, 3081569607, '{"checkpoint_kept":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"checkpoint":{"kind":"last","epoch":1,"seq":1,"sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","bytes":1000}}}
');
INSERT INTO events VALUES (10, 1, 10, 3204309172, '{"epoch_reported":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"metrics":{"seq":2,"epoch":2,"train_loss":"nan:fff8000000000123","train_accuracy":0.5,"val_loss":"inf","val_accuracy":0.25,"lr":0.1,"images_per_s":100.0,"seconds":1.0}}}
');
INSERT INTO events VALUES (11, 1, 11, 172477178, '{"trial_completed":{"lease":{"trial":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","attempt":1},"final_seq":2,"early":true,"weights":"w","test":{"epoch":2,"images":20,"loss":"nan","accuracy":0.5,"top5":0.5}}}
');
INSERT INTO events VALUES (12, 1, 12, 1039164292, '{"lease_granted":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":1},"agent":"00000000-0000-0000-0000-000000000007","slot":0,"resume_epoch":0,"fingerprint":"f00d","share":500}}
');
INSERT INTO events VALUES (13, 1, 13, 719612467, '{"attempt_failed":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":1},"failure":{"class":"out_of_memory","reason":"device_memory","message":"it happened"},"retry_at":31}}
');
INSERT INTO events VALUES (14, 1, 14, 2807524662, '{"retry_due":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20"}}
');
INSERT INTO events VALUES (15, 1, 15, 409100907, '{"lease_granted":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":2},"agent":"00000000-0000-0000-0000-000000000007","slot":1,"resume_epoch":0,"fingerprint":"f00d"}}
');
INSERT INTO events VALUES (16, 1, 16, 511589512, '{"trial_preempted":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":2},"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de"}}
');
INSERT INTO events VALUES (17, 1, 17, 348194844, '{"trial_evicted":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":2},"why":"drained"}}
');
INSERT INTO events VALUES (18, 1, 18, 2492157984, '{"lease_lost":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":2},"cause":"stopped"}}
');
INSERT INTO events VALUES (19, 1, 19, 1562780138, '{"lease_granted":{"lease":{"trial":"345014a0-fb46-5ace-9899-0a5395688f58","attempt":1},"agent":"00000000-0000-0000-0000-000000000007","slot":1,"resume_epoch":0,"fingerprint":"f00d"}}
');
INSERT INTO events VALUES (20, 1, 20, 228773952, '{"attempt_failed":{"lease":{"trial":"345014a0-fb46-5ace-9899-0a5395688f58","attempt":1},"failure":{"class":"recipe","reason":"bad","message":"it happened"},"retry_at":null}}
');
INSERT INTO events VALUES (21, 1, 21, 1111352342, '{"sweep_suspended":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","trials":["345014a0-fb46-5ace-9899-0a5395688f58"]}}
');
INSERT INTO events VALUES (22, 1, 22, 2473717637, '{"sweep_retried":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada","cancelled":true}}
');
INSERT INTO events VALUES (23, 1, 23, 3305069787, '{"trial_cancelled":{"trial":"86335938-df11-5c45-b2e7-995308e54e25","user":"ada"}}
');
INSERT INTO events VALUES (24, 1, 24, 4066134738, '{"point_judged":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","point":1,"judgement":{"fate":"stop","cause":"rule","rule":"asha","epoch":1,"value":0.5,"rank":3,"of":4,"until":2}}}
');
INSERT INTO events VALUES (25, 1, 25, 1646853960, '{"trial_halted":{"lease":{"trial":"ed0a90aa-536b-5184-ad60-98b8e76fec20","attempt":3},"epoch":1}}
');
INSERT INTO events VALUES (26, 1, 26, 205506836, '{"sweep_extended":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada","growth":{"seeds":[8],"points":[[{"path":"lr","value":0.5,"label":"0.5"}]],"baseline":1}}}
');
INSERT INTO events VALUES (27, 1, 27, 3777675319, '{"point_proposed":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","point":9,"settings":[{"path":"dropout","value":0.1,"label":"0.1"}],"from":4}}
');
INSERT INTO events VALUES (28, 1, 28, 1741715107, '{"search_ended":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de"}}
');
INSERT INTO events VALUES (29, 1, 29, 2153138475, '{"trial_reused":{"trial":"345014a0-fb46-5ace-9899-0a5395688f58","origin":"7e208874-e9c9-5ca1-ae6f-91775c2cba76","of":"fb87ac65-8a25-5823-8041-3478ca0608de","program":"sweep-trainer 0.1.0","fingerprint":"f00d","numerics":{"precision":"fp32","layout":"channels-last"}}}
');
INSERT INTO events VALUES (30, 1, 30, 1643780601, '{"slot_held":{"agent":"00000000-0000-0000-0000-000000000007","slot":1,"hold":{"kind":"maintenance","user":"ada","reason":"new fans","from":50,"until":60}}}
');
INSERT INTO events VALUES (31, 1, 31, 3136715790, '{"holds_lifted":{"agent":"00000000-0000-0000-0000-000000000007","slot":1,"user":"ada","kind":"quarantine"}}
');
INSERT INTO events VALUES (32, 1, 32, 10583180, '{"device_busy":{"agent":"00000000-0000-0000-0000-000000000007","device":"GPU-0","by":[{"pid":1,"user":"alice","command":"python","memory":9663676416}]}}
');
INSERT INTO events VALUES (33, 1, 33, 4014622314, '{"guest_hours":{"agent":"00000000-0000-0000-0000-000000000007","closed":{"until":70}}}
');
INSERT INTO events VALUES (34, 1, 34, 2525278469, '{"shares_set":{"user":"ada","setting":{"project":{"name":"vision","entitlement":{"share":2000,"slots":3,"device_hours":4,"storage":5}}}}}
');
INSERT INTO events VALUES (35, 1, 35, 272615829, '{"sweep_cancelled":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada"}}
');
INSERT INTO events VALUES (36, 1, 36, 2211416155, '{"rollback_suspected":{"agent":"00000000-0000-0000-0000-000000000007","host":"host","generation":0,"events":99}}
');
INSERT INTO events VALUES (37, 1, 37, 3425115275, '{"rollback_accepted":{"user":"ada","generation":1}}
');
INSERT INTO events VALUES (38, 1, 38, 1442815328, '{"sweep_set":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada","tuning":{"priority":80,"max_parallel":4}}}
');
INSERT INTO events VALUES (39, 1, 39, 4250514465, '{"sweep_moved":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada","project":"audio"}}
');
INSERT INTO events VALUES (40, 1, 40, 3169451563, '{"sweep_extended":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada","growth":{"goes_on":[{"trial":9,"from":0,"epoch":2}]}}}
');
INSERT INTO events VALUES (41, 1, 41, 3393454743, '{"sweep_extended":{"sweep":"fb87ac65-8a25-5823-8041-3478ca0608de","user":"ada","growth":{"samples":5}}}
');
INSERT INTO events VALUES (42, 1, 42, 2335297809, '{"shares_set":{"user":"ada","setting":{"user":{"name":"ann","entitlement":{"share":1000,"open_trials":6}}}}}
');
INSERT INTO events VALUES (43, 1, 43, 407273838, '{"slot_held":{"agent":"00000000-0000-0000-0000-000000000007","hold":{"kind":"revoked","user":"ada","reason":"new fans"}}}
');
