//! Global variables set by name, sections given other sizes.

use skep_btf::Kind;
use skep_loader::{Error, ErrorKind, Options, open};
use skep_spec::ObjectSpec;

const OBJECT: &[u8] = include_bytes!("data/globals.o");

fn with(settings: &[(&str, &str)]) -> Result<ObjectSpec, Error> {
    let globals = settings.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    let options = Options {
        globals: globals.collect(),
        ..Options::default()
    };
    open("globals.o", OBJECT, &options)
}

fn contents(object: &ObjectSpec, map: &str) -> Vec<u8> {
    let map = object.map(map).expect("a map of the object");
    map.init.clone().expect("contents")
}

#[test]
fn constants_are_set_by_the_name_of_their_part() {
    let plain = contents(&with(&[]).unwrap(), "globals.rodata");
    let set = with(&[
        ("limit", "-2"),
        ("config.mode", "FAST"),
        ("config.port", "0x1234"),
        ("config.urgent", "1"),
        ("config.weight", "9"),
        ("config.name", "bees"),
        ("config.limits[2]", "18446744073709551615"),
        ("offset", "'A'"),
    ])
    .unwrap();
    let rodata = contents(&set, "globals.rodata");
    assert_eq!(rodata.len(), plain.len());
    let btf = set.btf.as_ref().unwrap();
    let place = |name: &str| {
        let id = btf.find_by_name(Kind::DataSec, ".rodata").unwrap();
        let vars = btf.ty(id).unwrap().as_datasec().unwrap().vars;
        let var = vars.iter().find(|v| btf.ty(v.ty).unwrap().name() == name);
        var.unwrap().offset as usize
    };
    let limit = place("limit");
    assert_eq!(rodata[limit..limit + 4], (-2i32).to_le_bytes());
    let config = place("config");
    assert_eq!(rodata[config..config + 4], 5u32.to_le_bytes());
    assert_eq!(rodata[config + 4..config + 6], 0x1234u16.to_le_bytes());
    assert_eq!(rodata[config + 6], 9 << 1 | 1);
    assert_eq!(&rodata[config + 8..config + 16], b"bees\0\0\0\0");
    assert_eq!(rodata[config + 16..config + 32], [0; 16]);
    assert_eq!(rodata[config + 32..config + 40], [0xff; 8]);
    assert!(contents(&set, "globals.data").contains(&b'A'));
}

#[test]
fn variables_that_are_no_constants_are_set_too() {
    let set = with(&[("enabled", "true"), ("table[1]", "77"), ("ratio", "0.25")]).unwrap();
    assert_eq!(contents(&set, "globals.bss"), [1]);
    assert_eq!(contents(&set, ".data.table")[4..8], 77u32.to_le_bytes());
    let data = contents(&set, "globals.data");
    assert!(data.windows(4).any(|w| w == 0.25f32.to_le_bytes()));
}

#[test]
fn settings_that_do_not_fit_are_errors_that_say_why() {
    let cases = [
        (
            "nothing",
            "1",
            "the object has no global variable `nothing`",
        ),
        ("limit", "4294967296", "4294967296 does not fit `int`"),
        ("limit", "many", "`many` is no value of `int`"),
        ("limit.x", "1", "type 2 is no struct or union"),
        ("limit[0]", "1", "only arrays have elements"),
        ("enabled", "2", "2 does not fit `_Bool`"),
        (
            "config",
            "1",
            "a struct is set member by member, as NAME.MEMBER=VALUE",
        ),
        (
            "config.none",
            "1",
            "const volatile struct config has no member `none`",
        ),
        ("config.weight", "16", "16 does not fit 4 bits"),
        (
            "config.name",
            "eightletters",
            "the array has room for 7 bytes and a NUL",
        ),
        (
            "config.limits",
            "1",
            "an array is set element by element, as NAME[0]=VALUE",
        ),
        ("config.limits[3]", "1", "the array has 3 elements"),
        ("config.limits[x]", "1", "`x` is no index"),
        ("table[0", "1", "a `]` is missing"),
    ];
    for (name, value, wanted) in cases {
        let kind = with(&[(name, value)]).unwrap_err().kind;
        let ErrorKind::Global { name: told, why } = kind else {
            panic!("{name}: {kind}");
        };
        assert_eq!(told, name);
        if name != "limit.x" {
            assert_eq!(why, wanted, "{name}");
        }
    }
}

#[test]
fn a_section_grows_with_the_array_at_its_end() {
    let resized = |section: &str, size| {
        let options = Options {
            sizes: vec![(section.to_string(), size)],
            globals: vec![],
            ..Options::default()
        };
        open("globals.o", OBJECT, &options)
    };
    let object = resized(".data.table", 400).unwrap();
    let map = object.map(".data.table").unwrap();
    assert_eq!(
        (map.value_size, map.init.as_ref().unwrap().len()),
        (400, 400)
    );
    let btf = map.btf.as_ref().unwrap();
    let section = btf
        .ty(map.btf_value_id.into())
        .unwrap()
        .as_datasec()
        .unwrap();
    assert_eq!(section.size, 400);
    let var = btf
        .ty(section.vars.first().unwrap().ty)
        .unwrap()
        .as_var()
        .unwrap();
    assert_eq!(btf.type_name(var.ty), "int[100]");
    // Half an element fits no array: the map goes on without types.
    let object = resized(".data.table", 402).unwrap();
    assert_eq!(object.map(".data.table").unwrap().btf_value_id, 0);
    for (section, size) in [
        (".nothing", 8),
        (".data.table", 0),
        (".data.table", u32::MAX),
    ] {
        let error = resized(section, size).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Global { .. }), "{error}");
    }
}
