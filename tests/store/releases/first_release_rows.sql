-- What a first release's database may hold: a gallery, its pictures, one's own, accounts of each kind.

insert into picture (id, account_id, side_512, side_256, side_64, created) values
    ('Zb6cXWh4QHqk2tTg0n3Vxw', null, '\x524946460512', '\x524946460256', '\x524946460064', '2021-01-09 08:00+00'),
    ('7Yk0rJ3mQ2uWc9xHn4LtZg', null, '\x524946461512', '\x524946461256', '\x524946461064', '2021-01-09 08:00+00');

insert into gallery ("group", name, picture_id) values
    ('male', 'Ben', 'Zb6cXWh4QHqk2tTg0n3Vxw'),
    ('female', 'Ada', '7Yk0rJ3mQ2uWc9xHn4LtZg');

-- The password of all three is "correct horse".
insert into account (id, username, email, username_folded, email_folded, password, session_epoch,
        is_active, is_staff, first_name, last_name, created, modified, last_login, group_name,
        is_admin, towns, groups, cellar, address, picture_id) values
    (1, 'Mika', 'Mika@example.com', 'mika', 'mika@example.com',
        'bcrypt_sha256$$2b$04$iqq/JeKGjz42RLU2FO0/yufql26zT1xbFRSporY60FMc8/0JVNH5C',
        1610179200000000, true, false, null, null, '2021-01-09 08:00+00', '2021-01-10 08:00+00',
        '2021-01-10 08:00+00', null, false, '{}', '{}', '{}', '', '7Yk0rJ3mQ2uWc9xHn4LtZg'),
    (2, null, 'kim@example.com', null, 'kim@example.com',
        'bcrypt_sha256$$2b$04$iqq/JeKGjz42RLU2FO0/yufql26zT1xbFRSporY60FMc8/0JVNH5C',
        1610179200000001, false, true, 'Kim', '', '2021-01-09 09:00+00', '2021-01-09 09:00+00',
        null, 'tasters', true, '{3,1}', '{4,1}', '{9223372036854775807}', '123 N Main St.', null),
    (7, 'Åsa', null, 'åsa', null,
        'bcrypt_sha256$$2b$04$iqq/JeKGjz42RLU2FO0/yufql26zT1xbFRSporY60FMc8/0JVNH5C',
        1610179200000002, true, false, null, null, '2021-01-09 10:00+00', '2021-01-09 10:00+00',
        null, null, false, '{}', '{}', '{}', '', null);

insert into picture (id, account_id, side_512, side_256, side_64, created) values
    ('own-picture-of-asa-007', 7, '\x524946462512', '\x524946462256', '\x524946462064', '2021-01-11 08:00+00');

update account set picture_id = 'own-picture-of-asa-007' where id = 7;
select setval('account_id', 7);
