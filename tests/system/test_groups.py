"""Groups of parameters in real jobs: a network begun with pretrained weights, its body frozen and its head trained."""

import tracing
from images_case import ImagesCase, mlp_job
from safetensors_file import tensors_of
from system_case import main

USAGE = 2


BODY_FROZEN = '["fc[12].* frozen", "fc3.weight rate=5", "*.bias decay=0"]'
MODES = ["bsp", "ssp:1", "asp", "softsync:2", "backup:1", "local:2", "local:2+asp"]


class Groups(ImagesCase):
    JOB = mlp_job(hidden=[24, 16], optimizer='name = "momentum"\nrate = 0.02\nweight_decay = 0.001', epochs=2)

    def test_fine_tuning_moves_the_head_and_no_bit_of_the_body(self):
        pretrained = self.train(self.job).run_dir / "final.safetensors"
        before = tensors_of(pretrained)
        for mode in MODES:
            with self.subTest(mode=mode):
                run = self.train(self.job, model__pretrained=str(pretrained), optimizer__groups=BODY_FROZEN,
                                 consistency__mode=mode, cluster__workers=2, cluster__servers=2,
                                 cluster__slice_bytes=512, debug__trace="true")
                checked = tracing.check(run)
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
                after = tensors_of(run.run_dir / "final.safetensors")
                for name, value in before.items():
                    (self.assertNotEqual if name.startswith("fc3") else self.assertEqual)(after[name], value, name)

    def test_clipping_compensation_and_decay_leave_the_body_alone(self):
        pretrained = self.train(self.job).run_dir / "final.safetensors"
        before = tensors_of(pretrained)
        for settings in ({"optimizer__clip_norm": 0.01}, {"optimizer__compensation__name": "adaptive"},
                         {"optimizer__name": "adamw"}):
            with self.subTest(**settings):
                run = self.train(self.job, model__pretrained=str(pretrained), optimizer__groups=BODY_FROZEN,
                                 consistency__mode="asp", cluster__workers=2, **settings)
                after = tensors_of(run.run_dir / "final.safetensors")
                for name, value in before.items():
                    (self.assertNotEqual if name.startswith("fc3") else self.assertEqual)(after[name], value, name)

    def test_bsp_gives_the_same_bits_however_the_work_is_shared(self):
        groups = {"optimizer__groups": '["fc1.* frozen", "fc2.weight rate=3 decay=0.01", "*.bias decay=0"]'}
        expected = self.train(self.job, **groups).final()["weights_sha256"]
        for shared in ({"cluster__workers": 2, "cluster__servers": 2}, {"cluster__workers": 4, "cluster__slice_bytes": 256},
                       {"cluster__workers": 3, "cluster__shared_memory": "false"}, {"cluster__shard_threads": 2}):
            with self.subTest(**shared):
                self.assertEqual(self.train(self.job, **groups, **shared).final()["weights_sha256"], expected)
        self.assertNotEqual(self.train(self.job).final()["weights_sha256"], expected)

    def test_what_is_wrong_with_groups_is_told_before_anything_starts(self):
        for groups, said in (('["fc4.* frozen"]', 'optimizer.groups: "fc4.*" fits no parameter of the model; it has fc1.weight, fc1.bias'),
                             ('["fc1.* rat=2"]', '"fc1.* rat=2": unknown word "rat"; did you mean "rate"?'),
                             ('["* frozen"]', "every parameter is frozen, and nothing is left to train")):
            with self.subTest(groups=groups):
                run = self.train(self.job, expected_code=USAGE, optimizer__groups=groups)
                self.assertIn(said, run.output)
                self.assertFalse((run.run_dir / "scheduler.json").exists())


if __name__ == "__main__":
    main()
