use super::*;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn what_linux_tells_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (core, governor, mhz) in [(0, "performance", 2_900_000), (1, "powersave", 800_000)] {
        let core = format!("sys/devices/system/cpu/cpu{core}");
        write(root, &format!("{core}/cpufreq/scaling_governor"), &format!("{governor}\n"));
        write(root, &format!("{core}/cpufreq/scaling_cur_freq"), &format!("{mhz}\n"));
        write(root, &format!("{core}/cpufreq/cpuinfo_max_freq"), "3500000\n");
        write(root, &format!("{core}/thermal_throttle/package_throttle_count"), "7\n");
    }
    // No core.
    write(root, "sys/devices/system/cpu/cpufreq/scaling_governor", "ondemand\n");
    for (zone, kind, temperature) in [(0, "acpitz", 27_800), (1, "x86_pkg_temp", 81_000)] {
        write(root, &format!("sys/class/thermal/thermal_zone{zone}/type"), &format!("{kind}\n"));
        write(
            root,
            &format!("sys/class/thermal/thermal_zone{zone}/temp"),
            &temperature.to_string(),
        );
    }
    write(root, "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
    write(root, "proc/stat", "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n");
    write(root, "proc/self/stat", "7 (a (b) c) R 1 2 3 4 5 6 7 8 9 10 5 6 1 2 20 0\n");
    let look = Look::below(root);
    write(root, "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "9\n");
    write(root, "proc/stat", "cpu  150 0 60 830 60 0 0 0 0 0\n");
    write(root, "proc/self/stat", "7 (a (b) c) R 1 2 3 4 5 6 7 8 9 10 15 16 11 2 20 0\n");
    let met = look.end();
    assert_eq!(met.governors, ["performance", "powersave"]);
    assert_eq!((met.frequency_mhz, met.top_frequency_mhz), (Some((800, 2900)), Some(3500)));
    assert_eq!((met.throttled, met.throttled_now), (Some(9), Some(2)));
    assert_eq!(met.hottest, Some(("x86_pkg_temp".to_owned(), 81.0)));
    assert_eq!(met.clock_source.as_deref(), Some("hpet"));
    // 100 ticks passed, 60 of them busy, 30 of those with this process and its children.
    assert_eq!(met.others_busy, Some(0.3));
}

#[test]
fn what_is_not_told_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let met = Look::below(folder.path()).end();
    assert_eq!((met.governors.as_slice(), met.others_busy), (&[] as &[String], None));
    assert_eq!((met.throttled, met.throttled_now, met.hottest), (None, None, None));
    assert_eq!((met.clock_source, met.frequency_mhz), (None, None));
}

#[test]
fn this_machine_has_memory_and_work() {
    let met = Look::begin().end();
    assert!(met.memory_total_bytes > Some(0) && met.memory_available_bytes > Some(0));
    if cfg!(target_os = "linux") {
        assert!(met.others_busy.is_some_and(|share| (0.0..=1.0).contains(&share)), "{met:?}");
        assert!(met.load_1m.is_some());
    }
}
